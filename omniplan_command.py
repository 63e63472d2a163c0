"""The console script: outside the package, so that Ctrl-C while that is imported is as quiet as later."""

# PYTHON_ARGCOMPLETE_OK: what completes every program looks for this.
import sys


def entry() -> None:
    """Run the command and exit with its code."""
    try:
        from omniplan.cli.main import entry as run

        run()
    except KeyboardInterrupt:
        print("omniplan: interrupted", file=sys.stderr)
        sys.exit(130)

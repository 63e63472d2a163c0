"""``python -m omniplan``: the command without its script."""

from omniplan.cli.main import entry

if __name__ == "__main__":
    entry()

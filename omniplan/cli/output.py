"""What goes to standard output: the artefact and nothing else."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from typing import TYPE_CHECKING

from omniplan.errors import OutputError

if TYPE_CHECKING:
    from omniplan.text.screen import Screen


def show(text: str) -> int:
    """Print ``text`` with one newline at its end; returns the exit code of success."""
    put(text if text.endswith("\n") else text + "\n")
    return 0


def present(screen: Screen, options: argparse.Namespace) -> int:
    """Print a screen as standard output can show it; returns the exit code of success."""
    from omniplan.cli.terminal import rendered

    return show(rendered(screen, options))


def put(text: str) -> None:
    """Print ``text`` as it is, and what was printed before; raises OutputError where that cannot be kept.

    A reader that went away misses nothing: the run goes on to its verdict. What the encoding lacks stands as an escape.
    """
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        _drop()
    except OSError as error:
        _drop()
        raise OutputError(f"standard output: {error.strerror}") from error


def _drop() -> None:
    """Send what is still buffered nowhere, or Python would try once more when it ends."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

"""What goes to standard output: the artefact and nothing else."""

from __future__ import annotations

import contextlib
import os
import sys

from omniplan.errors import OutputError


def show(text: str) -> int:
    """Print ``text`` with one newline at its end; returns the exit code of success."""
    put(text if text.endswith("\n") else text + "\n")
    return 0


def put(text: str) -> None:
    """Print ``text`` as it is, and what was printed before; raises OutputError where that cannot be kept.

    A reader that went away misses nothing: the run goes on to its verdict.
    """
    try:
        sys.stdout.write(text)
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

"""What goes to standard output: the artefact and nothing else."""

from __future__ import annotations

import sys


def show(text: str) -> int:
    """Print ``text`` with one newline at its end; returns the exit code of success."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    sys.stdout.flush()
    return 0

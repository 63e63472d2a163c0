"""What goes to standard output, the artefact and nothing else, and files replaced as a whole."""

from __future__ import annotations

import sys
from pathlib import Path

from omniplan.errors import InputError


def show(text: str) -> int:
    """Print ``text`` with one newline at its end; returns the exit code of success."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    sys.stdout.flush()
    return 0


def replace_file(path: Path, text: str) -> None:
    """Replace ``path`` as a whole, so that nobody ever reads half a file."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error

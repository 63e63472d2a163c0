"""Replacing a file as a whole, so that nobody ever reads half of it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from omniplan.documents.text_file import to_bytes
from omniplan.errors import InputError


def write_whole(path: Path, text: str) -> None:
    """Put ``text`` in the place of ``path``, which keeps its permissions; raises InputError when that fails."""
    target = path.resolve()
    part = None
    try:
        mode = target.stat().st_mode & 0o7777 if target.exists() else 0o666 & ~_umask()
        descriptor, part = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        with os.fdopen(descriptor, "wb") as file:
            file.write(to_bytes(text))
        os.chmod(part, mode)
        os.replace(part, target)
    except OSError as error:
        if part:
            with contextlib.suppress(OSError):
                os.unlink(part)
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

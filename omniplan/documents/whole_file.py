"""Replacing a file as a whole, so that nobody ever reads half of it."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path
from typing import Final

from omniplan.documents.text_file import to_bytes
from omniplan.errors import InputError, OutputError

# The path is right, and what it is on is not.
_FAILING: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def write_whole(path: Path, text: str) -> None:
    """Put ``text`` in the place of ``path``, which keeps its permissions.

    Raises InputError for a path where nothing can be written, OutputError for a disk that takes no more.
    """
    target = path.resolve()
    part = None
    try:
        if target.exists() and not target.is_file():
            # A device or a pipe is written to, and stays what it is.
            target.write_bytes(to_bytes(text))
            return
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
        kind = OutputError if error.errno in _FAILING else InputError
        raise kind(f"{path}: cannot be written: {error.strerror}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

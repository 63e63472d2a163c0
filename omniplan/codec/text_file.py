"""Reading a text file of ours, or saying in one line why it cannot be read."""

from __future__ import annotations

from pathlib import Path

from omniplan.errors import InputError


def read_utf8(path: str | Path) -> str:
    """The text of the UTF-8 file at ``path``; raises InputError with the path and the reason."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise InputError(f"{path}: cannot be read: {reason}") from error

"""A plan's arguments as one shell line."""

from __future__ import annotations

import shlex
from collections.abc import Sequence


def shell_line(model_path: str, args: Sequence[str]) -> str:
    """The command to run, quoted for a POSIX shell."""
    return f"llama-server {shlex.join(['-m', model_path, *args])}"

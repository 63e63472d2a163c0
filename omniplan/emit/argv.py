"""A plan's arguments as one shell line."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence


def shell_line(model_path: str, args: Sequence[str], environment: Mapping[str, str]) -> str:
    """The command to run, environment first, quoted for a POSIX shell."""
    variables = [f"{name}={shlex.quote(value)}" for name, value in environment.items()]
    return " ".join([*variables, "llama-server", shlex.join(["-m", model_path, *args])])

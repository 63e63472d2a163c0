"""A plan's arguments as one shell line."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence


def shell_line(model_path: str, args: Sequence[str], environment: Mapping[str, str]) -> str:
    """The command to run, environment first, quoted for a POSIX shell."""
    return command_line(("llama-server", "-m", model_path, *args), environment)


def command_line(argv: Sequence[str], environment: Mapping[str, str]) -> str:
    """Any command, environment first, quoted for a POSIX shell."""
    return " ".join([*(f"{name}={shlex.quote(value)}" for name, value in environment.items()), shlex.join(argv)])

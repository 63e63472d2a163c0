"""A plan's arguments as one shell line."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress

from omniplan.domain.build import DEFAULT_NAME
from omniplan.errors import ArgumentError
from omniplan.gguf.place import is_url
from omniplan.llamacpp.build import build_number, release
from omniplan.llamacpp.flags.dialect import spoken


def shell_line(model_path: str, args: Sequence[str], environment: Mapping[str, str], build: str = DEFAULT_NAME) -> str:
    """The command to run, environment first, quoted for a POSIX shell, in the words of ``build`` as far as it has them.

    What it has no words for stands as later builds say it.
    """
    words: Sequence[str] = args
    with suppress(ArgumentError):
        words = [word for flag in spoken(args, release(build_number(build))) for word in flag.args]
    # What was planned by its address, llama-server downloads from there.
    return command_line(("llama-server", "-mu" if is_url(model_path) else "-m", model_path, *words), environment)


def command_line(argv: Sequence[str], environment: Mapping[str, str]) -> str:
    """Any command, environment first, quoted for a POSIX shell."""
    return " ".join([*(f"{name}={shlex.quote(value)}" for name, value in environment.items()), shlex.join(argv)])

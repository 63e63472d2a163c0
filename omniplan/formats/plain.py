"""Arguments one per line, quoted for xargs and shells, and a shell command."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

from omniplan.errors import InputError
from omniplan.formats.command import Command
from omniplan.formats.format import Format, Options
from omniplan.formats.launch import Launch, commented, printable, rationale
from omniplan.formats.shell.script import commands
from omniplan.formats.words import split
from omniplan.text.argv import file_line, server_words


def _argv(items: Sequence[Launch], options: Options) -> str:  # noqa: ARG001 - the shape of every format's write
    for item in items:
        if any("\n" in arg for arg in item.argv):
            raise InputError(f"argv: model {printable(item.model)}: xargs takes no line feed; use the format shell")
    return "".join(f"{shlex.quote(arg)}\n" for item in items for arg in item.argv)


def _read_argv(text: str) -> tuple[Command, ...]:
    return (Command(name="", line=1, words=split(text)),)


def _shell(items: Sequence[Launch], options: Options) -> str:  # noqa: ARG001 - the shape of every format's write
    return "\n".join(_script(item) for item in items)


def _script(item: Launch) -> str:
    command = file_line(server_words(item.model, item.argv[2:]), item.environment)
    return "\n".join((*commented(rationale(item)), command, ""))


ARGV: Final = Format(name="argv", write=_argv, read=_read_argv, carries_environment=False)
SHELL: Final = Format(name="shell", write=_shell, read=commands)

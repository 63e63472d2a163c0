"""Arguments one per line, and a shell command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from omniplan.codec import shell
from omniplan.codec.command import Command, Word
from omniplan.emit.argv import shell_line
from omniplan.emit.files.format import Format, Options
from omniplan.emit.launch import Launch, commented, rationale


def _argv(items: Sequence[Launch], options: Options) -> str:  # noqa: ARG001 - the shape of every format's write
    return "".join(f"{arg}\n" for item in items for arg in item.argv)


def _read_argv(text: str) -> tuple[Command, ...]:
    words = (Word(text=arg, line=line) for line, arg in enumerate(text.split("\n")[:-1], start=1))
    return (Command(name="", line=1, words=tuple(words)),)


def _shell(items: Sequence[Launch], options: Options) -> str:  # noqa: ARG001 - the shape of every format's write
    return "\n".join(_script(item) for item in items)


def _script(item: Launch) -> str:
    command = shell_line(item.model, item.argv[2:], item.environment)
    return "\n".join((*commented(rationale(item)), command, ""))


ARGV: Final = Format(name="argv", write=_argv, read=_read_argv, carries_environment=False)
SHELL: Final = Format(name="shell", write=_shell, read=shell.commands)

"""Procfiles, which foreman and its like run: one line a process, its name, a colon and its command."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from omniplan.formats.command import Command
from omniplan.formats.format import Format, Options
from omniplan.formats.launch import Launch
from omniplan.formats.shell.script import read_script
from omniplan.formats.traced import Source
from omniplan.text.argv import shell_line

_LINE = re.compile(r"^(?P<name>[A-Za-z0-9_-]+):[ \t]+(?P<command>.+)$", re.MULTILINE)


def _write(items: Sequence[Launch], options: Options) -> str:
    del options
    lines = (f"{item.id}: {shell_line(item.model, item.argv[2:], item.environment)}" for item in items)
    return "".join(f"{line}\n" for line in lines)


def _read(text: str) -> Iterator[Command]:
    source = Source(text)
    for match in _LINE.finditer(text):
        # What is read of a part of the file keeps its lines and places there.
        for command in read_script(source.inside(source.span(*match.span("command")))).commands:
            yield replace(command, name=match["name"])


def _commands(text: str) -> tuple[Command, ...]:
    return tuple(_read(text))


FORMAT = Format(name="procfile", write=_write, read=_commands, files=re.compile(r"^procfile$"))

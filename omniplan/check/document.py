"""A file as the critic reads it: what kind it is, the commands in it, and the comments around each."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from omniplan.check.case import Case
from omniplan.check.kinds import EXPORT, FileKind, kind_of, read_as
from omniplan.check.options import split_options
from omniplan.documents.text_file import lines_of
from omniplan.domain.machine import Machine
from omniplan.errors import InputError
from omniplan.formats import models_conf
from omniplan.formats.command import Command, Word
from omniplan.formats.pasted import is_pasted, pasted, script_of
from omniplan.formats.traced import Source


@dataclass(frozen=True, kw_only=True)
class Document:
    """One file: ``commands`` are the llama-server commands it starts, ``text`` every byte of it."""

    path: str
    text: str
    kind: FileKind
    commands: tuple[Command, ...]

    @cached_property
    def lines(self) -> list[str]:
        """Lines with their ends."""
        return lines_of(self.text)

    @property
    def shift(self) -> int:
        """How many characters of the text stand before those that words count from."""
        return int(self.text.startswith(_MARK_OF_ORDER))

    @cached_property
    def mentioned(self) -> int:
        """The first line that speaks of llama.cpp, 0 for none."""
        match = None if self.kind in _SILENT else _MENTION.search(self.text)
        return self.text.count("\n", 0, match.start()) + 1 if match else 0

    def code(self) -> Iterator[tuple[int, str]]:
        """Lines that are no comment, numbered from 1, without the comment at their end."""
        for number, line in enumerate(self.lines, 1):
            bare = re.sub(r"(^|\s)#.*", "", line.rstrip("\r\n"))
            if bare.strip():
                yield number, bare

    def comments(self, command: Command) -> tuple[Word, ...]:
        """Comment lines directly above ``command`` and inside it, and the titles that models.conf gives it.

        A unit of systemd is about one program, whose comments stand above the sections.
        """
        lines = self.lines
        last = max([command.line, *(word.line for word in command.words), *self._titles(command)])
        first = 1 if self.kind is FileKind.SYSTEMD else command.line
        while 1 < first <= len(lines) + 1 and lines[first - 2].lstrip().startswith(_MARKS):
            first -= 1
        marks = (*_MARKS, *_TITLES) if self.kind is FileKind.MODELS_CONF else _MARKS
        return tuple(
            Word(text=line.strip(), line=number)
            for number, line in enumerate(lines[first - 1 : last], first)
            if line.lstrip().startswith(marks)
        )

    def _titles(self, command: Command) -> Iterator[int]:
        """Lines of the section's titles."""
        if self.kind is FileKind.MODELS_CONF:
            for section in models_conf.parse(self.text).sections:
                if section.line == command.line:
                    yield section.last_line


# What a file says that speaks of llama.cpp; logs and build files do without starting it.
_MENTION: Final = re.compile(
    r"llama[-_. ]?(?:server|cli|bench|cpp|swap)\b|koboldcpp|ggml-org|\bLLAMA_ARG_", re.IGNORECASE
)
_SILENT: Final = (FileKind.LOG, FileKind.BUILD, FileKind.ARGS)
# What editors on Windows put before UTF-8.
_MARK_OF_ORDER: Final = "\ufeff"
_MARKS: Final = ("#", ";")
_TITLES: Final = ("NAME=", "DESCRIPTION=")


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A document with its commands as cases, on one machine."""

    document: Document
    cases: tuple[Case, ...]
    machine: Machine | None = None


def read(path: str, text: str, kind: FileKind | None = None) -> Document:
    """The document of ``text``; raises InputError where the format has no such text."""
    bare = text.removeprefix(_MARK_OF_ORDER)
    kind = kind_of(path, bare) if kind is None else kind
    if "\0" in text and kind is not FileKind.LOG:
        raise InputError(f"{path}: holds NUL bytes, expected a text in UTF-8")
    if len(text) > _LONGEST and kind not in (FileKind.LOG, FileKind.BUILD):
        raise InputError(f"{path}: {len(text):,} characters of {kind}; {_LONGEST:,} are read at most")
    commands = tuple(_all(kind, Source(bare), path, 0))
    if len(commands) > _MOST:
        raise InputError(f"{path}: {len(commands):,} commands; {_MOST:,} are checked at most: split the file")
    return Document(path=path, text=text, kind=kind, commands=commands)


def _all(kind: FileKind, source: Source, path: str, depth: int) -> Iterator[Command]:
    """The commands of a file, and of the files that stand in it; one of those that nobody can read has none."""
    found = read_as(kind, source, path)
    yield from found.commands
    for written in found.files[:_MOST] if depth < _NESTED else ():
        inner = source.inside(written.text)
        try:
            yield from _all(kind_of(written.name, inner.text), inner, written.name, depth + 1)
        except InputError:
            continue


# No start script and no configuration is so long; logs are.
_LONGEST: Final = 1_500_000
# Commands, and files inside a file, that are read of one: a check of more takes longer than anybody waits.
_MOST: Final = 3_000
# A README with a Compose file with a script in it, and no more.
_NESTED: Final = 3


def of_arguments(args: Sequence[str], environment: Mapping[str, str]) -> Document:
    """Bare arguments as a document with one option a line, after one line for each variable; a command as a script."""
    if is_pasted(args):
        pasted(args)
        return read("command", script_of(args), FileKind.SHELL)
    lines = [f"{EXPORT} {shlex.quote(f'{name}={value}')}" for name, value in environment.items()]
    lines += [shlex.join(option) for option in split_options(args)]
    return read("arguments", "".join(f"{line}\n" for line in lines), FileKind.ARGS)

"""A file as the critic reads it: what kind it is, the commands in it, and the comments around each."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import PurePath
from typing import Final

from omniplan.check.case import Case
from omniplan.check.options import split_options
from omniplan.documents.text_file import lines_of
from omniplan.domain.machine import Machine
from omniplan.errors import InputError
from omniplan.formats import compose, dotenv, kubernetes, llama_swap, models_conf, preset_ini, shell, systemd, wrapper
from omniplan.formats.command import Command, Word
from omniplan.formats.format import Format
from omniplan.formats.registry import FORMATS, others


class FileKind(StrEnum):
    """What a file is."""

    ARGS = "arguments"
    ARGV = "argument list"
    SHELL = "shell script"
    MODELS_CONF = "models.conf"
    PRESET = "preset INI"
    ENV = ".env"
    LLAMA_SWAP = "llama-swap"
    COMPOSE = "Compose file"
    SYSTEMD = "systemd unit"
    KUBERNETES = "Kubernetes Deployment"
    BUILD = "build file"
    LOG = "log"
    OTHER = "file of another format"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One file: ``commands`` are the llama-server commands it starts, ``text`` every byte of it."""

    path: str
    text: str
    kind: FileKind
    commands: tuple[Command, ...]

    @property
    def lines(self) -> list[str]:
        """Lines with their ends."""
        return lines_of(self.text)

    def places(self, word: Word) -> list[int]:
        """Lines that ``word`` may stand on: its own, and those below it in YAML, where folded text begins there."""
        if self.kind not in _FOLDS:
            return [word.line]
        lines = self.lines[word.line - 1 : word.line - 1 + _FOLDED]
        found = [number for number, line in enumerate(lines, word.line) if stands_in(word.text).search(line)]
        return found or [word.line]

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


_FOLDS: Final = (FileKind.COMPOSE, FileKind.LLAMA_SWAP, FileKind.KUBERNETES)
_FOLDED: Final = 60
# What editors on Windows put before UTF-8.
_MARK_OF_ORDER: Final = "\ufeff"
_MARKS: Final = ("#", ";")
_TITLES: Final = ("NAME=", "DESCRIPTION=")


def stands_in(text: str) -> re.Pattern[str]:
    """A pattern that finds ``text`` where it is not part of a longer word."""
    return re.compile(rf"(?<![\w.-]){re.escape(text)}(?![\w.-])")


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
        raise InputError(f"{path}: holds NUL bytes, so it is no text in UTF-8")
    commands = tuple(_READERS[kind](bare, path))
    if kind in _HAVE_DEFAULTS:
        commands = tuple(map(_with_defaults, commands))
    return Document(path=path, text=text, kind=kind, commands=commands)


def _with_defaults(command: Command) -> Command:
    """The command as it is when nobody sets its variables: ``${NAME:-99}`` is 99."""
    return replace(
        command,
        words=tuple(map(_default, command.words)),
        environment=tuple((name, _default(word)) for name, word in command.environment),
    )


def _default(word: Word) -> Word:
    return Word(text=_DEFAULT.sub(lambda match: match[1], word.text), line=word.line)


_DEFAULT: Final = re.compile(r"\$\{\w+:?-([^\s{}$]+)\}")


def of_arguments(args: Sequence[str], environment: Mapping[str, str]) -> Document:
    """Bare arguments as a document with one option a line, after one line for each variable."""
    lines = [f"{_EXPORT} {shlex.quote(f'{name}={value}')}" for name, value in environment.items()]
    lines += [shlex.join(option) for option in split_options(args)]
    return read("arguments", "".join(f"{line}\n" for line in lines), FileKind.ARGS)


_EXPORT: Final = "export"


def kind_of(path: str, text: str) -> FileKind:
    """The kind of a file by its name, else by what it says; a shell script when nothing tells."""
    name = PurePath(path).name.lower()
    for pattern, kind in _NAMES:
        if re.search(pattern, name):
            return kind
    if _by_name(path):
        return FileKind.OTHER
    return next((kind for pattern, kind in _CONTENTS if re.search(pattern, text, re.MULTILINE)), FileKind.SHELL)


_NAMES: Final = (
    (r"^models.*\.conf$", FileKind.MODELS_CONF),
    (r"\.ini$", FileKind.PRESET),
    (r"^\.env|\.env$|\.env\.", FileKind.ENV),
    (r"^(dockerfile|containerfile)|\.(dockerfile|cmake)$|^cmakelists\.txt$", FileKind.BUILD),
    (r"\.log$", FileKind.LOG),
    (r"\.service$", FileKind.SYSTEMD),
    (r"\.(sh|bash|zsh)$", FileKind.SHELL),
)
_CONTENTS: Final = (
    (r"\A#!", FileKind.SHELL),
    (r"\A--?[a-zA-Z]", FileKind.ARGV),
    (r"^services:", FileKind.COMPOSE),
    (r"^kind:\s*Deployment", FileKind.KUBERNETES),
    (r"^ExecStart\s*=", FileKind.SYSTEMD),
    (r"^models:", FileKind.LLAMA_SWAP),
    (r"\A(?=[\s\S]*^\[[\w-]+\]\s*$)[\s\S]*^\s*MODEL=", FileKind.MODELS_CONF),
    (r"^\[[^\]\n]+\]$", FileKind.PRESET),
    (r"^FROM \S", FileKind.BUILD),
    (r"^(ggml_cuda_init|llama_model_loader|load_tensors|llm_load_tensors|print_info):", FileKind.LOG),
)


def _by_name(path: str) -> Format | None:
    """The format that says its files have such a name: ours, or another package's."""
    name = PurePath(path).name.lower()
    known = (*FORMATS.values(), *others().values())
    return next((item for item in known if item.files and item.files.search(name)), None)


def _plugged(text: str, path: str) -> tuple[Command, ...]:
    chosen = _by_name(path)
    return tuple(chosen.read(text)) if chosen else ()


def _nothing(_text: str, _path: str) -> tuple[Command, ...]:
    return ()


def _arguments(text: str, _path: str) -> tuple[Command, ...]:
    words = shell.split(text)
    at, environment = 0, []
    while at + 1 < len(words) and words[at].text == _EXPORT:
        name, _, value = words[at + 1].text.partition("=")
        environment.append((name, Word(text=value, line=words[at].line)))
        at += 2
    return (Command(name="", line=1, words=words[at:], environment=tuple(environment)),)


def _words(text: str, _path: str) -> tuple[Command, ...]:
    return (Command(name="", line=1, words=shell.split(text)),)


def _sections(text: str, _path: str) -> Iterator[Command]:
    return (wrapper.section_command(section) for section in models_conf.parse(text).sections)


_HAVE_DEFAULTS: Final = (FileKind.SHELL, FileKind.COMPOSE)

_READERS: Final[Mapping[FileKind, Callable[[str, str], Iterator[Command] | tuple[Command, ...]]]] = {
    FileKind.ARGS: _arguments,
    FileKind.ARGV: _words,
    FileKind.SHELL: lambda text, _path: shell.commands(text),
    FileKind.MODELS_CONF: _sections,
    FileKind.PRESET: lambda text, path: preset_ini.commands(text, where=path),
    FileKind.ENV: lambda text, _path: dotenv.commands(text),
    FileKind.LLAMA_SWAP: lambda text, path: llama_swap.commands(text, where=path),
    FileKind.COMPOSE: lambda text, path: compose.commands(text, where=path),
    FileKind.SYSTEMD: lambda text, _path: systemd.commands(text),
    FileKind.KUBERNETES: lambda text, path: kubernetes.commands(text, where=path),
    FileKind.BUILD: _nothing,
    FileKind.LOG: _nothing,
    FileKind.OTHER: _plugged,
}

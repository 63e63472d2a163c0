"""Which words of a command start llama.cpp: its programs and images, and what runs another command in front of it.

``data/programs.toml`` has the names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from omniplan.documents.source import read_table
from omniplan.errors import TableError
from omniplan.formats.command import Command, Tool
from omniplan.formats.traced import Source, Traced
from omniplan.llamacpp.flags.table import spellings

_FILE: Final = "programs.toml"
_FOLDERS: Final = re.compile(r".*[/\\]", re.DOTALL)
_SUFFIX: Final = re.compile(r"\.(?:exe|cmd|bat|py)$", re.IGNORECASE)
# Flags of a model, and flags that no other engine has.
_MODEL: Final = frozenset(
    {"-m", "--model", "-hf", "-hfr", "--hf-repo", "-mu", "--model-url", "--models-preset", "--models-dir"}
)
_TELLING: Final = ("gpu-layers", "override-tensor", "n-cpu-moe", "cpu-moe", "cache-type-k", "ctx-size", "flash-attn")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramRow:
    """One program, as the head of the table explains it."""

    tool: Tool
    source: str
    names: str
    images: str = ""
    first: tuple[str, ...] = ()
    is_chosen: bool = False
    needs_model: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LauncherRow:
    """One program that runs another, as the head of the table explains it."""

    values: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()
    refuses: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    program: tuple[str, ...] = ()
    script: tuple[str, ...] = ()
    skips: int = 0
    reads: str = "words"
    runs: str = ""
    whole: bool = False
    each: bool = False
    is_assigning: bool = False
    like: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramTable:
    """The whole table."""

    source: str
    others: str
    named: str
    programs: Mapping[str, ProgramRow]
    launchers: Mapping[str, LauncherRow]


Settings = tuple[tuple[str, Traced], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """A program of llama.cpp with its arguments; ``environment`` is what the words before it set."""

    program: Traced
    tool: Tool
    words: tuple[Traced, ...]
    prefix: tuple[Traced, ...] = ()
    environment: Settings = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripts:
    """Lines that a command gives to a shell."""

    texts: tuple[Traced, ...]
    environment: Settings = ()


@cache
def _table() -> ProgramTable:
    table = read_table(_FILE, ProgramTable)
    try:
        launchers = {name: table.launchers[row.like] if row.like else row for name, row in table.launchers.items()}
    except KeyError as error:
        raise TableError(f"{_FILE}: launchers: no row {error}") from error
    return replace(table, launchers=launchers)


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], re.Pattern[str] | None, ProgramRow], ...]:
    return tuple(
        (re.compile(row.names), re.compile(row.images) if row.images else None, row)
        for row in _table().programs.values()
    )


def launchers() -> Mapping[str, LauncherRow]:
    """What runs another command, by its words."""
    return _table().launchers


def base_name(text: str) -> str:
    """What a program is called, without its folder and what Windows adds."""
    return _SUFFIX.sub("", _FOLDERS.sub("", text))


def has_model(words: Iterable[str]) -> bool:
    """Whether arguments name a model in llama.cpp's way."""
    return any(word in _MODEL for word in words)


def is_likely(words: Sequence[str]) -> bool:
    """Whether arguments are llama.cpp's: a model, and a flag that hardly another program has."""
    rows = (spellings().get(word) for word in words)
    return has_model(words) and any(row is not None and row.key in _TELLING for row in rows)


def is_other(name: str) -> bool:
    """Whether that program is another engine, or runs one."""
    return re.fullmatch(_table().others, name) is not None


def is_named(text: str) -> bool:
    """Whether a program or an image has a name that llama.cpp may have been given."""
    return re.search(_table().named, text) is not None


def program_of(text: str, words: Sequence[str]) -> ProgramRow | None:
    """The program that ``text`` names, with these arguments."""
    name = base_name(text)
    for pattern, _, row in _patterns():
        if pattern.fullmatch(name) and (not row.needs_model or has_model(words)):
            return row if not row.is_chosen or words[:1] == list(row.first[:1]) else None
    return None


def image_of(text: str) -> ProgramRow | None:
    """The program that a container image runs."""
    return next((row for _, images, row in _patterns() if images and images.fullmatch(text)), None)


def command_of(source: Source, found: Launched, environment: Settings, line: int, *, name: str = "") -> Command:
    """What a program is started with, as the command ``name`` on ``line``."""
    return Command(
        name=name,
        line=line,
        words=tuple(source.word(word, line=line) for word in found.words),
        environment=tuple((key, source.word(value, line=line)) for key, value in environment),
        prefix=tuple(source.word(word, line=line) for word in found.prefix),
        program=found.program.text,
        tool=found.tool,
    )

"""Rows of ``data/flags.toml``: every flag llama-server knows, and the ones it no longer knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Final

from omniplan.documents.column import Name
from omniplan.documents.source import read_table
from omniplan.errors import TableError

_FILE: Final = "flags.toml"

# A row that does not say since when is in common/arg.cpp of this build; older ones are unknown.
CHECKED: Final = 9093


class ValueKind(StrEnum):
    """What follows a flag on the command line."""

    NONE = "none"
    INT = "int"
    UINT = "uint"
    FLOAT = "float"
    STRING = "string"
    ENUM = "enum"
    SWITCH = "switch"
    LIST = "list"
    PAIR = "pair"


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """A default that builds had once: ``until`` is the last one known to."""

    until: int
    value: int | str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagRow:
    """One flag of llama-server; ``key`` is its name in the table, ``param`` the field of ``ServerParams`` it sets.

    ``is_file`` says that its value is the path of a file that the server reads beside its model.
    ``since`` is the first build known to take it as described, ``lacks`` the last known not to, ``until`` the first
    known to refuse it again. ``before`` is what a build that lacks it is given instead, by value; ``without`` and
    ``instead`` tell a person what to do; ``builds`` is the source of these numbers.

    What a command of another time means: ``renamed`` are the flags that took the place of a removed one, with the same
    value; ``turns`` says for each spelling what becomes of the field's value; ``bare`` is the value of a flag that
    took none once. ``earlier`` are defaults of older builds, oldest first. ``what`` explains a flag that only a
    fork has.
    """

    key: Name
    names: tuple[str, ...]
    kind: ValueKind
    source: str
    negated: tuple[str, ...] = ()
    env: str = ""
    choices: tuple[str, ...] = ()
    words: Mapping[str, int | str] = field(default_factory=dict)
    min: int | None = None
    max: int | None = None
    forbidden: tuple[int, ...] = ()
    default: int | float | bool | str | None = None
    is_file: bool = False
    param: str = ""
    sets: Mapping[str, int | bool | str] = field(default_factory=dict)
    since: int = CHECKED
    lacks: int | None = None
    until: int | None = None
    instead: str = ""
    before: Mapping[str, str] = field(default_factory=dict)
    renamed: tuple[str, ...] = ()
    turns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    bare: str = ""
    earlier: tuple[Earlier, ...] = ()
    what: str = ""
    without: str = ""
    builds: str = ""

    def faults(self) -> Iterator[tuple[str, str]]:
        """What contradicts itself."""
        if not self.names:
            yield "names", "expected at least one spelling"
        if bool(self.until) != bool(self.instead):
            yield "until", "a removed flag needs both until and instead"
        if (self.since != CHECKED or self.lacks) and not self.builds:
            yield "builds", "since and lacks need a source"

    @property
    def name(self) -> str:
        """The spelling for messages and ``extra``: the first long one."""
        return next((name for name in self.names if name.startswith("--")), self.names[0])

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every spelling, negated ones last."""
        return self.names + self.negated

    @property
    def is_removed(self) -> bool:
        """Whether the newest known build refuses it."""
        return self.until is not None

    def is_gone(self, build: int) -> bool:
        """Whether ``build`` is known to refuse it again."""
        return self.until is not None and build >= self.until

    def is_lacking(self, build: int) -> bool:
        """Whether ``build`` is known not to have it yet."""
        return self.lacks is not None and build <= self.lacks

    def default_of(self, build: int) -> int | str | None:
        """The default of ``build`` where it is another one than the table's."""
        return next((item.value for item in self.earlier if build <= item.until), None)

    def turned(self, value: str, way: bool | str) -> str:
        """What the flag, or its negation, makes of the field's ``value``."""
        return self.turns[self.name if way else self.negation].get(value, value)

    @property
    def successor(self) -> str:
        """The flag whose values it turns, as the words for a person begin with it."""
        return self.instead.split()[0]

    @property
    def negation(self) -> str:
        """The negated spelling for messages, "" without one."""
        return next((name for name in self.negated if name.startswith("--")), "")

    @property
    def negative_env(self) -> str:
        """The ``LLAMA_ARG_NO_`` form of ``env``, which only a flag with a negated spelling has."""
        return self.env.replace("LLAMA_ARG_", "LLAMA_ARG_NO_") if self.env and self.negated else ""


@cache
def load_flags() -> tuple[FlagRow, ...]:
    """Every row in file order, which is the order in which llama.cpp applies the environment."""
    rows = tuple(read_table(_FILE, dict[str, FlagRow]).values())
    _reject_duplicates(rows)
    return rows


@cache
def spellings() -> Mapping[str, FlagRow]:
    """Rows by every spelling, negated and removed ones included."""
    return {name: row for row in load_flags() for name in row.spellings}


def _reject_duplicates(rows: tuple[FlagRow, ...]) -> None:
    seen: dict[str, str] = {}
    for row in rows:
        for name in row.spellings:
            if name in seen:
                raise TableError(f"{_FILE}: {row.key}.names: {name} is already a spelling of {seen[name]}")
            seen[name] = row.key

"""Forks of llama.cpp: how a command of one is told, and what its own flags do (``data/forks.toml``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from omniplan.documents.column import Name
from omniplan.documents.source import read_table
from omniplan.domain.evidence import Assumption
from omniplan.llamacpp.flags.eras import Given
from omniplan.llamacpp.flags.table import FlagRow, spellings

_FILE = "forks.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkRow:
    """One fork: parts of its programs' paths, what it takes otherwise than llama.cpp, and the flags of its own."""

    name: Name
    paths: tuple[str, ...]
    unpriced: str
    source: str
    flags: Mapping[str, FlagRow]

    def row_of(self, name: str) -> FlagRow | None:
        """The row of one of its own flags."""
        return next((row for row in self.flags.values() if name in row.spellings), None)


@cache
def forks() -> Mapping[str, ForkRow]:
    """Every fork by name."""
    return read_table(_FILE, dict[str, ForkRow])


@cache
def _names() -> Mapping[str, str]:
    """Forks by the spellings that only they have."""
    return {
        name: fork.name
        for fork in forks().values()
        for row in fork.flags.values()
        for name in row.spellings
        if name not in spellings()
    }


def fork_of(args: Sequence[str], program: str = "") -> str:
    """The fork whose program or flags these are, "" for llama.cpp."""
    told = (fork.name for fork in forks().values() if any(path in program for path in fork.paths))
    return next(told, "") or next((_names()[word] for word in args if word in _names()), "")


def row_of(name: str, fork: str = "") -> FlagRow | None:
    """The row of a flag by its spelling, a fork's own first."""
    own = forks()[fork].row_of(name) if fork else None
    return own or spellings().get(name)


def remarks(fork: str, given: Sequence[Given], left: Sequence[Given]) -> Iterator[Assumption]:
    """What each of its own flags does, and which values are its own."""
    source = forks()[fork].source
    told = {item.name: item.row for item in given if item.row.what}
    for name, row in told.items():
        yield Assumption(subject=name, statement=f"{fork}: {row.what}", source=row.source)
    for item in left:
        statement = f"{fork}: left out, since llama.cpp has no {item.name} {item.value}"
        yield Assumption(subject=item.name, statement=statement, source=source)

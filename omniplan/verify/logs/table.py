"""Rows of ``data/log_lines.toml``: what each line of a llama.cpp log looks like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Final

from omniplan.documents.column import Column, Count
from omniplan.documents.source import read_table
from omniplan.errors import TableError

_FILE: Final = "log_lines.toml"
_PLACE: Final = re.compile(r"\{([a-z]+)\}")
# Characters of the longest line that states a fact, where its row says no other length.
_LONGEST: Final = 2000


def _alone(text: str) -> tuple[str, ...]:
    return (text,)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One row: a line that holds one of ``contains`` states ``fact``; ``pattern`` has {fragments} to put in.

    ``gate`` is a piece that several rows share; a line without it states none of them.
    """

    fact: str
    contains: Annotated[tuple[str, ...], Column(parse=_alone)]
    pattern: str
    source: str
    gate: str = ""
    longest: Count = _LONGEST


@dataclass(frozen=True, slots=True, kw_only=True)
class LogTable:
    """The whole table."""

    source: str
    fragment: Mapping[str, str]
    line: tuple[LogLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRow:
    """One kind of line: ``pattern`` is searched in lines of at most ``longest`` characters that hold ``contains``."""

    fact: str
    gate: str
    contains: str
    pattern: re.Pattern[str]
    longest: int


@cache
def log_rows() -> Mapping[str, tuple[LogRow, ...]]:
    """The rows by gate, in the table's order; raises TableError."""
    table = read_table(_FILE, LogTable)
    rows = [row for line in table.line for row in _rows(line, table.fragment)]
    return {gate: tuple(row for row in rows if row.gate == gate) for gate in dict.fromkeys(row.gate for row in rows)}


def facts() -> frozenset[str]:
    """Every fact that a line can state."""
    return frozenset(row.fact for rows in log_rows().values() for row in rows)


def _rows(line: LogLine, fragments: Mapping[str, str]) -> list[LogRow]:
    pattern = _compiled(_PLACE.sub(lambda place: fragments.get(place[1], place[0]), line.pattern), line.pattern)
    return [
        LogRow(fact=line.fact, gate=line.gate or piece, contains=piece, pattern=pattern, longest=line.longest)
        for piece in line.contains
    ]


def _compiled(pattern: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise TableError(f"{_FILE}: {text}: {error}") from error

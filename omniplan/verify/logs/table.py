"""Rows of ``data/log_lines.toml``: what each line of a llama.cpp log looks like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from omniplan.documents.fields import Fields
from omniplan.documents.source import read_table, wrong_rows
from omniplan.errors import TableError

_FILE: Final = "log_lines.toml"
_PLACE: Final = re.compile(r"\{([a-z]+)\}")
# Characters of the longest line that states a fact, where its row says no other length.
_LONGEST: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRow:
    """One kind of line: ``pattern`` is searched in lines of at most ``longest`` characters that hold ``contains``.

    ``gate`` is a piece that several rows share; a line without it states none of them.
    """

    fact: str
    gate: str
    contains: str
    pattern: re.Pattern[str]
    longest: int


@cache
def log_rows() -> Mapping[str, tuple[LogRow, ...]]:
    """The rows by gate, in the table's order; raises TableError."""
    with wrong_rows(_FILE):
        table = Fields.of(read_table(_FILE), "")
        fragments = {name: str(text) for name, text in Fields.of(table.raw.get("fragment"), "fragment").raw.items()}
        rows = [row for fields in table.tables("line") for row in _rows(fields, fragments)]
    return {gate: tuple(row for row in rows if row.gate == gate) for gate in dict.fromkeys(row.gate for row in rows)}


def facts() -> frozenset[str]:
    """Every fact that a line can state."""
    return frozenset(row.fact for rows in log_rows().values() for row in rows)


def _rows(fields: Fields, fragments: Mapping[str, str]) -> list[LogRow]:
    text = fields.text("pattern")
    pattern = _compiled(_PLACE.sub(lambda place: fragments.get(place[1], place[0]), text), text)
    pieces = fields.texts("contains") if isinstance(fields.raw.get("contains"), list) else (fields.text("contains"),)
    gate, longest = fields.text("gate", ""), fields.count("longest") or _LONGEST
    fact = fields.text("fact")
    fields.text("source")
    fields.done()
    return [LogRow(fact=fact, gate=gate or piece, contains=piece, pattern=pattern, longest=longest) for piece in pieces]


def _compiled(pattern: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise TableError(f"{_FILE}: {text}: {error}") from error

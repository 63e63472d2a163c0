"""Command lines of other times: which build knows which flag, and how words that it does not know are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

from omniplan.domain.evidence import Assumption
from omniplan.llamacpp.flags.table import FlagRow, spellings


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One flag as it was given: its row, its value, and the word or variable that says it.

    ``is_bare``: it takes a value today and has none.
    """

    row: FlagRow
    value: str | bool
    name: str
    is_variable: bool = False
    is_bare: bool = False


def remarks(given: Sequence[Given], build: int) -> Iterator[Assumption]:
    """How each word that ``build`` does not know is read, its spelling there, and once that no build knows them all."""
    told: set[str] = set()
    yield from _turned([item for item in given if item.row.turns and item.row.is_gone(build) and not item.is_variable])
    for item in given:
        if item.name not in told and (statement := _reading(item, build)):
            told.add(item.name)
            yield Assumption(subject=item.name, statement=statement, source=item.row.builds or item.row.source)
    if mixed := _mixed(given):
        old, new = mixed
        yield Assumption(
            subject=f"{old.name}, {new.name}",
            statement="words of two eras: no build takes both",
            source="data/flags.toml",
        )


def _reading(item: Given, build: int) -> str:
    row = item.row
    if row.is_gone(build):
        return _gone(item)
    if item.is_bare and not row.is_lacking(build):
        return f"read as {item.name} {row.bare}, as before b{row.since}; it takes a value since"
    value = item.value if isinstance(item.value, str) else ""
    if row.is_lacking(build) and not item.is_bare and value not in row.before:
        return f"read as b{row.since} and later read it; b{build} lacks it"
    return ""


def _turned(given: Sequence[Given]) -> Iterator[Assumption]:
    """What removed flags of one field come to together, field by field."""
    for flag in dict.fromkeys(item.row.successor for item in given):
        own = [item for item in given if item.row.successor == flag]
        value = reduce(lambda value, item: item.row.turned(value, item.value), own, str(spellings()[flag].default))
        names = " ".join(dict.fromkeys(item.name for item in own))
        last = own[-1].row
        statement = f"read as {flag} {value}; b{last.until} and later refuse {names}"
        yield Assumption(subject=names, statement=statement, source=last.builds)


def _gone(item: Given) -> str:
    row, since = item.row, f"b{item.row.until} and later"
    if row.renamed:
        return f"read as {' and '.join(row.renamed)}; {since} refuse it"
    if item.is_variable:
        return f"left out: {since} do not read it; use {row.instead}"
    return "" if row.turns else f"left out: {since} refuse it; use {row.instead}"


def _mixed(given: Sequence[Given]) -> tuple[Given, Given] | None:
    """The flag that went first and the one that came last, if the one had gone before the other came."""
    words = [item for item in given if not item.is_variable]
    gone = min((item for item in words if item.row.until), key=lambda item: item.row.until or 0, default=None)
    new = max((item for item in words if item.row.lacks and not item.is_bare), key=_lacks, default=None)
    return (gone, new) if gone and new and _lacks(new) >= (gone.row.until or 0) else None


def _lacks(item: Given) -> int:
    return item.row.lacks or 0

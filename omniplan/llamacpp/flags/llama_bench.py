"""What llama-server is told, said to llama-bench (tools/llama-bench/llama-bench.cpp), where that has words for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from omniplan.documents.column import Name
from omniplan.documents.source import read_table
from omniplan.domain.prediction import Phase
from omniplan.errors import ArgumentError
from omniplan.llamacpp.build import Build
from omniplan.llamacpp.flags.args import Flag
from omniplan.llamacpp.flags.dialect import spoken

_FILE: Final = "llama_bench.toml"
# llama-bench takes -fa on, off and auto from here on, as llama-server does (b9409 takes 0 and 1, and is off by itself).
_OLDEST: Final = 9442
_REMEDY: Final = "measure it with llama-server"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchFlagRow:
    """How llama-bench is told one flag of llama-server, ``key``; the table says what each field means."""

    key: Name
    source: str
    name: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    yes: str = ""
    no: str = ""
    between: str = ""
    refuses: str = ""
    phase: Phase | None = None
    since: int = _OLDEST


def bench_args(args: Sequence[str], build: Build, phase: Phase) -> tuple[str, ...]:
    """The arguments that make ``build``'s llama-bench run ``phase`` as llama-server does with ``args``.

    They are without model and test. Raises ArgumentError with the flag that llama-bench has no words for.
    """
    if build.number < _OLDEST:
        raise ArgumentError("llama-bench", f"that of {build.name} has other defaults", remedy=_REMEDY)
    said: dict[str, list[str]] = {}
    for flag, row in sorted(_rows(args, build), key=lambda pair: pair[1].phase is not None):
        value = _value(flag, row)
        if not row.name or not value or row.phase not in (None, phase):
            continue
        # Given twice, llama-bench would try both; llama-server adds overrides up, and else takes the last.
        before = said.get(row.name, []) if row.between == ";" else []
        said[row.name] = [*before, value]
    return tuple(word for name, values in said.items() for word in (name, ";".join(values)))


def _rows(args: Sequence[str], build: Build) -> Iterator[tuple[Flag, BenchFlagRow]]:
    for flag in spoken(args, build):
        row = _table().get(flag.row.key)
        if row is None or build.number < row.since:
            raise ArgumentError(flag.name, "llama-bench has no word for it", remedy=_REMEDY)
        yield flag, row


def _value(flag: Flag, row: BenchFlagRow) -> str:
    """What follows llama-bench's flag, "" for nothing to say."""
    if not flag.values:
        found = row.no if flag.name in flag.row.negated else row.yes
        if row.name and not found:
            raise ArgumentError(flag.name, "llama-bench has no word for it", remedy=_REMEDY)
        return found
    value = " ".join(flag.values)
    if (row.only and value not in row.only) or (row.refuses and row.refuses in value):
        raise ArgumentError(f"{flag.name} {value}", "llama-bench does not take it", remedy=_REMEDY)
    return row.values.get(value, value).replace(",", row.between or ",")


@cache
def _table() -> Mapping[str, BenchFlagRow]:
    return read_table(_FILE, dict[str, BenchFlagRow])

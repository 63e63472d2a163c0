"""Rows of ``data/verification.toml``: tolerances, and the words of findings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from omniplan.documents.fields import Fields
from omniplan.documents.source import read_table, wrong_rows
from omniplan.verify.values import RunFinding, RunSeverity

_FILE: Final = "verification.toml"
_PLACE: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """The larger of ``floor`` bytes and a ``share`` of what is predicted."""

    floor: int
    share: float
    source: str

    def of(self, predicted: int) -> int:
        """Bytes by which actual and predicted may differ."""
        return max(self.floor, int(predicted * self.share))


@cache
def tolerances() -> dict[str, Tolerance]:
    """The tolerances by name; raises TableError."""
    with wrong_rows(_FILE):
        return {name: _tolerance(fields) for name, fields in _section("tolerance")}


@cache
def findings() -> dict[str, RunFinding]:
    """The findings by name, their places not filled in; raises TableError."""
    with wrong_rows(_FILE):
        return {name: _finding(name, fields) for name, fields in _section("finding")}


def finding(name: str, /, *lines: int, **facts: str | int) -> RunFinding:
    """The finding ``name`` about ``facts``, shown by ``lines`` of the log."""
    row = findings()[name]
    return RunFinding(
        name=name,
        severity=row.severity,
        statement=_filled(row.statement, facts),
        advice=_filled(row.advice, facts),
        source=row.source,
        lines=tuple(line for line in lines if line),
    )


def _filled(text: str, facts: dict[str, str | int]) -> str:
    return _PLACE.sub(lambda place: str(facts.get(place[1], place[0])), text)


def _section(name: str) -> Iterator[tuple[str, Fields]]:
    section = Fields.of(read_table(_FILE).get(name), name)
    return ((key, Fields.of(value, f"{name}.{key}")) for key, value in section.raw.items())


def _tolerance(fields: Fields) -> Tolerance:
    row = Tolerance(floor=fields.required_mib("mib"), share=fields.number("share") or 0.0, source=fields.text("source"))
    fields.done()
    return row


def _finding(name: str, fields: Fields) -> RunFinding:
    row = RunFinding(
        name=name,
        severity=RunSeverity(fields.choice("severity", tuple(RunSeverity), "")),
        statement=fields.text("statement"),
        advice=fields.text("advice"),
        source=fields.text("source"),
    )
    fields.done()
    return row

"""Rows of ``data/verification.toml``: tolerances, and the words of findings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Final

from omniplan.documents.column import Amount, Column, Mib
from omniplan.documents.source import read_table
from omniplan.verify.values import RunFinding

_FILE: Final = "verification.toml"
_PLACE: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """The larger of ``floor`` bytes and a ``share`` of what is predicted."""

    floor: Annotated[Mib, Column(key="mib")]
    share: Amount = 0.0
    source: str

    def of(self, predicted: int) -> int:
        """Bytes by which actual and predicted may differ."""
        return max(self.floor, int(predicted * self.share))


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationTable:
    """The whole table; the findings' places are not filled in."""

    tolerances: Annotated[Mapping[str, Tolerance], Column(key="tolerance")]
    findings: Annotated[Mapping[str, RunFinding], Column(key="finding")]


@cache
def _table() -> VerificationTable:
    return read_table(_FILE, VerificationTable)


def tolerances() -> Mapping[str, Tolerance]:
    """The tolerances by name; raises TableError."""
    return _table().tolerances


def findings() -> Mapping[str, RunFinding]:
    """The findings by name, their places not filled in; raises TableError."""
    return _table().findings


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

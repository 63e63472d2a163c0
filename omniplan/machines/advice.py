"""Rows of ``data/advice.toml``: rules about NUMA and threads, and what words leave unsaid about a machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final

from omniplan.documents.fields import Fields
from omniplan.documents.source import read_table, wrong_rows
from omniplan.units import MIB

_FILE: Final = "advice.toml"


class AdviceSeverity(StrEnum):
    """How much a rule matters: it will be slow or fail; do this; know this."""

    WARNING = "warning"
    ADVICE = "advice"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceRule:
    """One rule; ``statement`` and ``check`` have {names} to fill in, ``cap`` is a number the rule states."""

    name: str
    severity: AdviceSeverity
    statement: str
    measured: str
    check: str
    source: str
    cap: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """Memory taken for reserved without evidence: a share of the whole, up to ``at_most`` bytes."""

    name: str
    share: float
    at_most: int
    statement: str
    source: str

    def of(self, total: int) -> int:
        """Bytes reserved of ``total``, in whole MiB."""
        return min(int(total * self.share), self.at_most) // MIB * MIB


@cache
def rules() -> dict[str, AdviceRule]:
    """The rules by name; raises TableError."""
    with wrong_rows(_FILE):
        return {name: _rule(name, fields) for name, fields in _section("rule")}


@cache
def reserves() -> dict[str, Reserve]:
    """What is taken for reserved, by name; raises TableError."""
    with wrong_rows(_FILE):
        return {name: _reserve(name, fields) for name, fields in _section("assumed")}


def _section(name: str) -> Iterator[tuple[str, Fields]]:
    section = Fields.of(read_table(_FILE).get(name), name)
    return ((key, Fields.of(value, f"{name}.{key}")) for key, value in section.raw.items())


def _rule(name: str, fields: Fields) -> AdviceRule:
    rule = AdviceRule(
        name=name,
        severity=AdviceSeverity(fields.choice("severity", tuple(AdviceSeverity), "")),
        statement=fields.text("statement"),
        measured=fields.text("measured"),
        check=fields.text("check"),
        source=fields.text("source"),
        cap=fields.count("cap"),
    )
    fields.done()
    return rule


def _reserve(name: str, fields: Fields) -> Reserve:
    reserve = Reserve(
        name=name,
        share=fields.number("share") or 0.0,
        at_most=fields.required_mib("at_most_mib"),
        statement=fields.text("statement"),
        source=fields.text("source"),
    )
    fields.done()
    return reserve

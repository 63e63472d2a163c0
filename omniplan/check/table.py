"""Rows of ``data/rules.toml``: what `omniplan check` looks for, why, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final

from omniplan.check.values import Severity
from omniplan.documents.fields import Fields
from omniplan.documents.source import read_table, wrong_rows
from omniplan.errors import TableError

_FILE: Final = "rules.toml"


class Need(StrEnum):
    """What must be at hand for a rule to be asked."""

    FILE = "file"
    ARGS = "args"
    MODEL = "model"
    MACHINE = "machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRule:
    """One rule: ``severity`` is the worst it reports, ``needs`` what it cannot do without."""

    id: str
    subject: str
    severity: Severity
    title: str
    needs: tuple[Need, ...]
    why: str
    fix: str
    source: str


@cache
def rows() -> dict[str, CheckRule]:
    """Every rule by its id, in file order; raises TableError."""
    with wrong_rows(_FILE):
        found: dict[str, CheckRule] = {}
        for subject, group in read_table(_FILE).items():
            for id, raw in Fields.of(group, subject).raw.items():
                if id in found:
                    raise TableError(f"{_FILE}: {subject}.{id}: already a rule of {found[id].subject}")
                found[id] = _row(id, subject, Fields.of(raw, f"{subject}.{id}"))
        return found


def _row(id: str, subject: str, fields: Fields) -> CheckRule:
    needs = fields.texts("needs")
    for need in needs or ("",):
        if need not in set(Need):
            raise fields.error("needs", f"expected some of {', '.join(Need)}, got {need!r}")
    row = CheckRule(
        id=id,
        subject=subject,
        severity=Severity(fields.choice("severity", tuple(Severity), "")),
        title=fields.text("title"),
        needs=tuple(Need(need) for need in needs),
        why=fields.text("why"),
        fix=fields.text("fix"),
        source=fields.text("source"),
    )
    fields.done()
    return row

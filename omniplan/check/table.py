"""Rows of ``data/rules.toml``: what `omniplan check` looks for, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final

from omniplan.check.values import Severity
from omniplan.documents.column import Group, Name
from omniplan.documents.source import read_table
from omniplan.errors import TableError
from omniplan.formats.command import Tool

_FILE: Final = "rules.toml"


class Need(StrEnum):
    """What must be at hand for a rule to be asked."""

    FILE = "file"
    ARGS = "args"
    MODEL = "model"
    MACHINE = "machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRule:
    """One rule: ``severity`` is the worst it reports, ``needs`` what it cannot do without.

    ``tools`` says whose commands it is about, ``forks`` that it holds for commands of llama.cpp's forks too.
    """

    id: Name
    subject: Group
    severity: Severity
    title: str
    needs: tuple[Need, ...]
    why: str
    fix: str
    source: str
    forks: bool = False
    tools: tuple[Tool, ...] = (Tool.SERVER, Tool.CLI)

    def faults(self) -> Iterator[tuple[str, str]]:
        """A rule that needs nothing would never be asked."""
        if not self.needs:
            yield "needs", f"expected some of {', '.join(Need)}"


@cache
def rows() -> dict[str, CheckRule]:
    """Every rule by its id, in file order; raises TableError."""
    found: dict[str, CheckRule] = {}
    for group in read_table(_FILE, dict[str, dict[str, CheckRule]]).values():
        for row in group.values():
            if row.id in found:
                raise TableError(f"{_FILE}: {row.subject}.{row.id}: already a rule of {found[row.id].subject}")
            found[row.id] = row
    return found

"""Rows of ``data/advice.toml``: rules about NUMA and threads, and what words leave unsaid about a machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Annotated, Final

from omniplan.documents.column import Amount, Column, Count, Mib, Name
from omniplan.documents.source import read_table
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

    name: Name
    severity: AdviceSeverity
    statement: str
    measured: str
    check: str
    source: str
    cap: Count | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """Memory taken for reserved without evidence: a share of the whole, up to ``at_most`` bytes."""

    name: Name
    share: Amount
    at_most: Mib
    statement: str
    source: str

    def of(self, total: int) -> int:
        """Bytes reserved of ``total``, in whole MiB."""
        return min(int(total * self.share), self.at_most) // MIB * MIB


class LimitKind(StrEnum):
    """What limits the share of RAM that a GPU may take: the kernel's translation table, or Metal's working set."""

    GTT = "gtt"
    WORKING_SET = "working_set"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareLimit:
    """The share of RAM that GPUs of one maker may take unless told otherwise; another up to ``small`` bytes of RAM.

    ``raising`` is how it is made ``{mib}`` MiB, or ``{pages}`` pages of 4 KiB.
    """

    group: Name
    kind: LimitKind
    share: Amount
    small: Mib = 0
    small_share: Amount = 0.0
    statement: str
    raising: str
    source: str

    def of(self, total: int) -> int:
        """Bytes that may be taken of ``total``, in whole MiB."""
        return int(total * (self.small_share if total <= self.small else self.share)) // MIB * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceTable:
    """The whole table."""

    rules: Annotated[Mapping[str, AdviceRule], Column(key="rule")]
    reserves: Annotated[Mapping[str, Reserve], Column(key="assumed")]
    limits: Annotated[Mapping[str, ShareLimit], Column(key="limit")]


@cache
def _table() -> AdviceTable:
    return read_table(_FILE, AdviceTable)


def rules() -> Mapping[str, AdviceRule]:
    """The rules by name; raises TableError."""
    return _table().rules


def reserves() -> Mapping[str, Reserve]:
    """What is taken for reserved, by name; raises TableError."""
    return _table().reserves


def share_limits() -> Mapping[str, ShareLimit]:
    """What GPUs that draw on RAM may take of it, by maker; raises TableError."""
    return _table().limits

"""Where statements come from: reasons for choices and assumptions made without evidence."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from omniplan.documents.column import Positive


class Basis(StrEnum):
    """How a number is known, from firmest to loosest: ``MEASURED`` on this machine, ``MODELLED`` by prediction."""

    HEADER = "header"
    MEASURED = "measured"
    ELSEWHERE = "measured elsewhere"
    SPEC = "spec"
    MODELLED = "modelled"
    ASSUMED = "assumed"


class ReasonVerdict(StrEnum):
    """What became of the subject of a reason: it was chosen, it was not, or it is only worth knowing."""

    CHOSEN = "chosen"
    REJECTED = "rejected"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """Something used without evidence: what it is about, what was taken for true, and why."""

    subject: str
    statement: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why something was chosen or not, or what else to know; ``source`` is a header key, table row or lesson."""

    verdict: ReasonVerdict
    subject: str
    statement: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedConstant:
    """One constant of the time model as runs on the machine have it."""

    name: str
    value: Positive

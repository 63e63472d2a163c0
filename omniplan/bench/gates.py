"""Gates: what a benchmark has to show before one goes ahead, and the verdict on a measured figure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final

from omniplan.documents.column import Amount, Column
from omniplan.documents.record import Record
from omniplan.errors import InputError


class GateVerdict(StrEnum):
    """What a figure says: go ahead, weigh it by hand, do not, or nothing because it was not measured."""

    GO = "GO"
    WEIGH = "WEIGH"
    NO_GO = "NO-GO"
    UNKNOWN = "unknown"


class Metric(StrEnum):
    """What gates can be set on.

    ``stability`` is the share of attempts that were answered, ``vram_share`` the largest share that a device uses of
    its budget, ``decode_of_plan`` the measured decode rate as a share of the plan's estimate.
    """

    DECODE = "decode_tokens_per_second"
    PROMPT = "prompt_tokens_per_second"
    FIRST_TOKEN = "first_token_seconds"
    STABILITY = "stability"
    VRAM = "vram_share"
    OF_PLAN = "decode_of_plan"


class Prompts(StrEnum):
    """Which prompts a gate looks at; over all of them the worst mean counts."""

    ALL = "all"
    SHORTEST = "shortest"
    LONGEST = "longest"


LESS_IS_BETTER: Final = frozenset({Metric.FIRST_TOKEN, Metric.VRAM})


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate(Record):
    """Limits of one metric, in its own unit.

    ``go`` is the limit to be better than for GO, ``no_go`` the limit to be worse than for NO-GO; between the two lies
    WEIGH. With ``go`` alone everything else is NO-GO; ``no_go`` alone is a veto, and everything else is GO.
    """

    metric: Annotated[Metric, Column(level=1)]
    source: str
    go: Amount | None = None
    no_go: Amount | None = None
    prompts: Prompts = Prompts.ALL

    def __post_init__(self) -> None:
        if self.go is None and self.no_go is None:
            raise InputError(f"{self.metric}: needs a limit for GO or for NO-GO; write at least one of them")
        if self.go is not None and self.no_go is not None and self._better(self.no_go, self.go):
            raise InputError(f"{self.metric}: the limit for NO-GO is better than the one for GO; swap them")

    @property
    def is_required(self) -> bool:
        """Whether GO needs this figure: an unknown figure vetoes nothing, but it does not earn GO either."""
        return self.go is not None

    def _better(self, a: float, b: float) -> bool:
        return a < b if self.metric in LESS_IS_BETTER else a > b

    def judge(self, measured: float | None) -> GateVerdict:
        """The verdict on a figure; a figure on a limit is neither better nor worse than it."""
        if measured is None:
            return GateVerdict.UNKNOWN
        if self.go is not None and self._better(measured, self.go):
            return GateVerdict.GO
        if self.no_go is None or self._better(self.no_go, measured):
            return GateVerdict.NO_GO
        return GateVerdict.GO if self.go is None else GateVerdict.WEIGH


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """A gate, the figure it was held against (None: not measured) and the verdict."""

    gate: Gate
    measured: float | None
    verdict: GateVerdict


def overall(results: Iterable[GateResult], *, is_complete: bool = True) -> GateVerdict:
    """One verdict of all gates.

    NO-GO when any gate says so. GO needs a complete run, every required figure, and at least one gate that says GO;
    everything else is to be weighed.
    """
    found = list(results)
    verdicts = {result.verdict for result in found}
    if GateVerdict.NO_GO in verdicts:
        return GateVerdict.NO_GO
    missing = any(result.gate.is_required and result.verdict is GateVerdict.UNKNOWN for result in found)
    if not is_complete or missing or GateVerdict.WEIGH in verdicts or GateVerdict.GO not in verdicts:
        return GateVerdict.WEIGH
    return GateVerdict.GO

"""A run against its prediction: bytes per pool and column, what is not as it should be, and the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from omniplan.documents.column import Name
from omniplan.documents.record import Record
from omniplan.domain.evidence import Assumption
from omniplan.domain.footprint import BufferColumn, ContextKind
from omniplan.domain.prediction import Phase
from omniplan.verify.logs.report import LoadReport


class RunSeverity(StrEnum):
    """How much a finding matters: the verdict fails; it costs something; know this."""

    FAULT = "fault"
    WARNING = "warning"
    NOTE = "note"


class RunVerdict(StrEnum):
    """What a verification ends with."""

    WITHIN = "within tolerance"
    OUTSIDE = "outside tolerance"
    FAULTY = "faults found"
    FAILED = "the load failed"
    UNKNOWN = "nothing was compared"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedColumn:
    """One column of one pool in one part of a process: bytes predicted, actual, and up to what difference they agree.

    A figure is None where it is not known; ``is_within`` is None where the two cannot be compared, and ``remark`` says
    why.
    """

    pool: str
    column: BufferColumn
    predicted: int | None
    actual: int | None
    tolerance: int
    is_within: bool | None
    remark: str = ""
    part: ContextKind = ContextKind.MAIN

    @property
    def is_of_model(self) -> bool:
        """Whether it is of the model itself, and not of something beside it."""
        return self.part is ContextKind.MAIN

    @property
    def difference(self) -> int | None:
        """Actual less predicted."""
        return None if self.predicted is None or self.actual is None else self.actual - self.predicted


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinding:
    """Something about the run: what, how bad, what to do, by which rule, and the lines of the log that show it."""

    name: Name
    severity: RunSeverity
    statement: str
    advice: str
    source: str
    lines: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuUsage:
    """Memory of one GPU in bytes as nvidia-smi sees it, the most of all samples; ``device`` is llama.cpp's name."""

    device: str
    description: str
    used: int
    total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedSpeed:
    """One measured rate against its prediction, tokens per second: the median of ``n_runs`` and the range seen."""

    phase: Phase
    n_runs: int
    median: float
    low: float
    high: float
    predicted_low: float | None = None
    predicted_high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification(Record):
    """A log, a prediction, and how they agree.

    ``basis`` says what the prediction is of, "" when none was asked for; ``args`` are the arguments it is of.
    """

    report: LoadReport
    basis: str
    args: tuple[str, ...]
    rows: tuple[ComparedColumn, ...]
    findings: tuple[RunFinding, ...]
    speeds: tuple[ComparedSpeed, ...] = ()
    usage: tuple[GpuUsage, ...] = ()
    assumptions: tuple[Assumption, ...] = ()
    verdict: RunVerdict = RunVerdict.UNKNOWN

    @property
    def is_ok(self) -> bool:
        """Whether the run is as predicted, or no prediction was asked for and nothing is wrong."""
        return self.verdict is RunVerdict.WITHIN or (self.verdict is RunVerdict.UNKNOWN and not self.basis)

"""What benchmarking a server found: samples, their statistics, memory in use, and how a plan and gates compare."""

from __future__ import annotations

from dataclasses import dataclass

from omniplan.bench.gates import GateResult, GateVerdict
from omniplan.documents.record import Record
from omniplan.domain.prediction import Estimate

BENCH_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One request.

    ``length`` names its prompts, ``errors`` has one text for every attempt that failed; the request was answered when
    there are fewer of them than ``attempts``. ``n_prompt`` and ``n_gen`` are tokens by the server's own count.
    ``seconds`` are those of the attempt that was answered, ``first_token_seconds`` only known when streaming. Rates are
    tokens per second, by the server's ``timings`` or, ``by_clock``, by ours. None: not known.
    """

    length: str
    streaming: bool
    is_cold: bool = False
    attempts: int = 1
    errors: tuple[str, ...] = ()
    n_prompt: int | None = None
    n_gen: int | None = None
    n_cached: int | None = None
    seconds: float | None = None
    first_token_seconds: float | None = None
    prompt_tokens_per_second: float | None = None
    decode_tokens_per_second: float | None = None
    by_clock: bool = False

    @property
    def is_answered(self) -> bool:
        """Whether an attempt succeeded."""
        return len(self.errors) < self.attempts


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Mean and spread of ``n`` figures; ``deviation`` is the sample standard deviation, 0 for one figure."""

    n: int
    mean: float
    deviation: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRow:
    """Warm requests of one length, streamed or not: how many attempts, how many failed, and their figures."""

    length: str
    n_wanted: int
    streaming: bool
    attempts: int
    errors: int
    n_prompt: int | None
    n_gen: int | None
    decode_tokens_per_second: Summary | None
    prompt_tokens_per_second: Summary | None
    first_token_seconds: Summary | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceMemory:
    """Bytes in use on one GPU by everything that runs there, of ``total``; ``budget`` None: none is known."""

    name: str
    uuid: str
    used: int
    total: int
    budget: int | None = None

    @property
    def share(self) -> float | None:
        """Used bytes as a share of the budget."""
        return self.used / self.budget if self.budget else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanDifference:
    """A predicted figure beside the measured mean; ``difference`` is measured over predicted, less one."""

    figure: str
    predicted: Estimate
    measured: float | None
    difference: float | None
    is_within: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchReport(Record):
    """A benchmark of one server.

    ``cold_tokens_per_second`` is the decode rate of the first warm-up request, which no row counts. ``stability`` is
    the share of all attempts that were answered, None before any. ``stopped`` says why the run ended early, "" when it
    is complete. ``disturbances`` say what else had a part in it: GPUs that were held down, other work on the host.
    ``memory`` is the largest use seen; ``memory_unknown`` says why there is none. ``log`` is the file with
    the output of a server that was started for this.
    """

    version: str
    date: str
    url: str
    model: str
    server: str
    n_gen: int
    samples: tuple[Sample, ...]
    rows: tuple[BenchRow, ...]
    cold_tokens_per_second: float | None
    stability: float | None
    memory: tuple[DeviceMemory, ...]
    memory_unknown: str
    plan: str
    differences: tuple[PlanDifference, ...]
    gates: tuple[GateResult, ...]
    verdict: GateVerdict
    stopped: str = ""
    log: str = ""
    notes: tuple[str, ...] = ()
    disturbances: tuple[str, ...] = ()
    schema_version: int = BENCH_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeCheck:
    """One prompt to one model: whether the answer was complete, and what was wrong with it."""

    model: str
    prompt: str
    passed: bool
    n_prompt: int | None
    n_gen: int | None
    seconds: float | None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeReport(Record):
    """The update check: a short prompt and one of over 100 tokens for every model."""

    version: str
    date: str
    url: str
    server: str
    checks: tuple[SmokeCheck, ...]
    stopped: str = ""
    log: str = ""
    schema_version: int = BENCH_VERSION

    @property
    def passed(self) -> bool:
        """Whether every check was made and passed."""
        return not self.stopped and bool(self.checks) and all(check.passed for check in self.checks)

"""Predicted speed, with a range, a basis and the terms it is the sum of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from omniplan.documents.record import Record
from omniplan.domain.evidence import Basis


class Phase(StrEnum):
    """The two parts of a request: reading the prompt, and writing the answer token by token."""

    PROMPT = "prompt"
    DECODE = "decode"


class Objective(StrEnum):
    """What should take the least time: the whole request, a generated token, or the prompt."""

    REQUEST = "request"
    DECODE = "decode"
    PROMPT = "prompt"


class Cause(StrEnum):
    """What predicted seconds are spent on (``docs/prediction.md``)."""

    GPU_WEIGHTS = "GPU weights"
    GPU_COMPUTE = "GPU compute"
    GPU_LAUNCHES = "GPU launches"
    KV_READS = "KV reads"
    GRAPH_SPLITS = "graph splits"
    CPU_WEIGHTS = "CPU weights"
    CPU_LAYERS = "CPU layers"
    CPU_COMPUTE = "CPU compute"
    CPU_ATTENTION = "CPU attention"
    STREAMING = "streaming CPU weights"
    EXPERT_UPLOADS = "expert uploads"
    NETWORK = "network"
    DRAFTING = "drafting"

    @property
    def is_on_gpus(self) -> bool:
        """Whether a GPU is what works."""
        return self in (Cause.GPU_WEIGHTS, Cause.GPU_COMPUTE, Cause.GPU_LAUNCHES)

    @property
    def is_on_host(self) -> bool:
        """Whether the CPU or the bus to RAM is what works."""
        return self in (
            Cause.CPU_WEIGHTS,
            Cause.CPU_LAYERS,
            Cause.CPU_COMPUTE,
            Cause.CPU_ATTENTION,
            Cause.STREAMING,
            Cause.EXPERT_UPLOADS,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate(Record):
    """A predicted number: ``low <= value <= high``, and what it rests on."""

    low: float
    value: float
    high: float
    basis: Basis = Basis.MODELLED

    def scaled(self, factor: float) -> Estimate:
        """The same estimate in another unit."""
        return Estimate(low=self.low * factor, value=self.value * factor, high=self.high * factor, basis=self.basis)

    def divided(self, other: Estimate) -> Estimate:
        """The quotient of both, each end with the one that makes it further."""
        low, value, high = self.low / other.high, self.value / other.value, self.high / other.low
        return Estimate(low=low, value=value, high=high, basis=self.basis)

    def inverse(self) -> Estimate:
        """1 / estimate: a time becomes a rate."""
        return Estimate(low=1 / self.high, value=1 / self.value, high=1 / self.low, basis=self.basis)


@dataclass(frozen=True, slots=True, kw_only=True)
class Speculation(Record):
    """What drafting by ``kind`` does to decoding; the prediction's rates have it in.

    A round drafts ``n_max`` tokens and verifies them with one more. ``acceptance`` is the share of drafted tokens that
    are kept, as llama-server prints it, and ``source`` where that comes from; ``tokens_per_round`` follows from it.
    ``gain`` is the decode rate over that without drafting. ``best_n_max``, the fewest that do about as well as any,
    give ``best_gain``; 0 is not to draft.
    """

    kind: str
    n_max: int
    acceptance: Estimate
    source: str
    tokens_per_round: float
    gain: Estimate
    best_n_max: int
    best_gain: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedExperts(Record):
    """What a cache of experts (--moe-cache-mib) does to decoding; the prediction's rates have it in.

    ``share`` is how much of the experts of its layers it holds, ``hits`` how often the one asked for is among them, and
    ``source`` where that comes from.
    """

    share: float
    hits: Estimate
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredSpeeds(Record):
    """What the same settings took with the same model on the same hardware: here, or elsewhere, as ``basis`` says.

    The ranges are those of ``n_runs`` requests of ``n_prompt`` and ``n_gen`` tokens, the last on ``date`` with
    ``llama_cpp``; None for a phase that was not measured.
    """

    basis: Basis
    decode_tokens_per_second: Estimate | None
    prompt_tokens_per_second: Estimate | None
    n_prompt: int
    n_gen: int
    n_runs: int
    llama_cpp: str
    date: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction(Record):
    """How fast a placement will run.

    ``terms`` are seconds per generated token by cause and sum to the decode time; ``prompt_terms`` are seconds of the
    whole prompt by cause. ``n_prompt``, ``n_gen`` and ``depth`` are the workload in tokens.
    ``speculation`` is None where nothing is drafted, or where what drafts or its acceptance is not known.
    ``cached_experts`` is None without such a cache. ``measured`` are measurements of the same, ours first.
    """

    decode_tokens_per_second: Estimate
    prompt_tokens_per_second: Estimate
    request_seconds: Estimate
    terms: Mapping[Cause, float]
    prompt_terms: Mapping[Cause, float]
    n_prompt: int
    n_gen: int
    depth: int
    assumptions: tuple[str, ...] = ()
    speculation: Speculation | None = None
    cached_experts: CachedExperts | None = None
    measured: tuple[MeasuredSpeeds, ...] = ()

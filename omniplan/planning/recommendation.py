"""A recommendation: models, or quants of one, on one machine, best first by what they would do there."""

from __future__ import annotations

from dataclasses import dataclass

from omniplan.documents.record import Record
from omniplan.domain.evidence import Assumption
from omniplan.domain.footprint import Unpriced
from omniplan.domain.request import Request
from omniplan.planning.frontier_values import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedQuality:
    """What the quant loses of 16 bits on the model ``measured``: a share of perplexity and the mean KL divergence."""

    loss: float
    divergence: float
    measured: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantOption:
    """One model file, or a quant of one, and what its plan comes to.

    ``is_estimate`` says that there is no such file: its tensors' types follow llama-quantize's rules, as
    ``assumptions`` state. ``outcome`` is None where no plan exists, and ``why_not`` says why; ``n_ctx`` is the context
    in tokens that the plan has, which is less than was usual where that does not fit. ``quality`` is None where nothing
    was published. ``is_efficient`` marks the Pareto front: no other that fits has at least as many bits per weight,
    takes no longer, and is better in one.
    """

    path: str
    model: str
    quant: str
    bits_per_weight: float
    tensor_bytes: int
    file_bytes: int
    is_estimate: bool
    assumptions: tuple[Assumption, ...] = ()
    outcome: Outcome | None = None
    n_ctx: int = 0
    why_not: str = ""
    quality: PublishedQuality | None = None
    is_efficient: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A file that is not ranked, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation(Record):
    """Every option, best first, those that do not fit at the end by size.

    Of one model the first is the one to take, and ``why`` says so; several models are in the order of their speed by
    the objective of ``request``.
    """

    model: str
    machine: str
    request: Request
    options: tuple[QuantOption, ...]
    why: str = ""
    left_out: tuple[LeftOut, ...] = ()
    unpriced: tuple[Unpriced, ...] = ()

    @property
    def fits(self) -> bool | None:
        """Whether any has a plan; None where the machine has devices that are not priced."""
        return any(option.outcome is not None for option in self.options) and (None if self.unpriced else True)

    @property
    def is_one_model(self) -> bool:
        """Whether all are quants of one model."""
        return len({option.model for option in self.options}) == 1

"""A recommendation: several files of one model on one machine, ranked by what they would do there."""

from __future__ import annotations

from dataclasses import dataclass

from omniplan.documents.record import Record
from omniplan.domain.evidence import Assumption
from omniplan.domain.footprint import Unpriced
from omniplan.domain.request import Request
from omniplan.planning.frontier_values import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantOption:
    """One quant of the model and what its plan comes to.

    ``is_estimate`` says that there is no such file: its tensors' types follow llama-quantize's rules, as
    ``assumptions`` state. ``outcome`` is None where no plan exists, and ``why_not`` says why. ``is_efficient`` marks
    the Pareto front: no other that fits has at least as many bits per weight, takes no longer, and is better in one.
    """

    path: str
    quant: str
    bits_per_weight: float
    tensor_bytes: int
    file_bytes: int
    is_estimate: bool
    assumptions: tuple[Assumption, ...] = ()
    outcome: Outcome | None = None
    why_not: str = ""
    is_efficient: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A file that is not ranked, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation(Record):
    """Every quant, best first: those that fit by the objective of ``request``, then the others by size."""

    model: str
    machine: str
    request: Request
    options: tuple[QuantOption, ...]
    left_out: tuple[LeftOut, ...] = ()
    unpriced: tuple[Unpriced, ...] = ()

    @property
    def fits(self) -> bool | None:
        """Whether any quant has a plan; None where the machine has devices that are not priced."""
        return any(option.outcome is not None for option in self.options) and (None if self.unpriced else True)

"""A candidate that has been priced: bytes, limits and speed, all for the very arguments a plan would carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from omniplan.domain.footprint import Footprint
from omniplan.domain.headroom import Margin, shortfall
from omniplan.domain.params import ServerParams
from omniplan.domain.prediction import Prediction
from omniplan.llamacpp.flags.overrides import cpu_moe
from omniplan.planning.candidates import Candidate, args_of

# Predicted times that differ by a smaller share are the same: no figure is printed with more than three digits.
TIE: Final = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """``params`` are the candidate's with loading and threads; ``seconds`` is what the request wants to be short."""

    candidate: Candidate
    params: ServerParams
    footprint: Footprint
    margins: tuple[Margin, ...]
    prediction: Prediction
    seconds: float

    @property
    def args(self) -> tuple[str, ...]:
        """The arguments of a plan that is this solution."""
        return args_of(self.params)

    @property
    def missing(self) -> dict[str, int]:
        """Bytes short by pool, headroom included; empty when everything is kept."""
        return shortfall(self.margins)

    @property
    def n_patterns(self) -> int:
        """Patterns that somebody has to read: -cmoe says its own by itself."""
        return sum(override not in cpu_moe() for override in self.params.overrides)

    @property
    def spare(self) -> float:
        """The smallest share of a pool that stays free beyond what the policy keeps."""
        return min((margin.left / margin.capacity for margin in self.margins if margin.capacity), default=0.0)

    def beats(self, other: Solution) -> bool:
        """Whether it is faster; a tie, to within a thousandth, goes to fewer patterns, then to more headroom."""
        least = min(self.seconds, other.seconds)
        if abs(self.seconds - other.seconds) > TIE * least:
            return self.seconds < other.seconds
        return (self.n_patterns, -self.spare) < (other.n_patterns, -other.spare)

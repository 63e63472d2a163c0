"""A candidate that has been priced: bytes, limits and speed, all for the very arguments a plan would carry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from omniplan.domain.footprint import Footprint
from omniplan.domain.headroom import Margin, shortfall
from omniplan.domain.params import ServerParams
from omniplan.domain.prediction import Objective, Prediction
from omniplan.llamacpp.flags.overrides import cpu_moe
from omniplan.llamacpp.ggml.buffers import is_host
from omniplan.planning.candidates import Candidate, args_of
from omniplan.predict.accuracy import comparison_error

# More GPUs, or a slower one, must save this share of the time to be used: an RTX 5090 alone beat RTX 5090 + RTX 4090 by
# 10 % (24.07 against 21.88 tokens/s, ik_llama.cpp #629), one RTX 4090 with 24 layers fewer beat two by 10 % (18.5
# against 16.8), and what a second one costs is the least certain part of the model.
MORE_GPUS: Final = 0.10
# Share of the time that an argument must save: beneath it nobody would notice. The time model's error does not count
# where both sides are much the same layout and share it.
EARNS: Final = 0.01
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
    def n_gpus(self) -> int:
        """GPUs that hold weights or a cache."""
        return sum(
            bool(size.model or size.context) for name, size in self.footprint.buffers.items() if not is_host(name)
        )

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


def is_clearly_faster(rival: Solution, found: Solution, objective: Objective) -> bool:
    """Whether it is faster by more than a comparison is off by, and, with more GPUs, by what these must save."""
    share = least_gain(objective, rival.prediction, found.prediction, has_more_gpus=rival.n_gpus > found.n_gpus)
    return rival.seconds < (1 - share) * found.seconds


def least_gain(objective: Objective, rival: Prediction, found: Prediction, *, has_more_gpus: bool) -> float:
    """The share of the time that another placement must save to be taken for what it costs besides."""
    error = comparison_error(objective, rival, found)
    return max(error, MORE_GPUS) if has_more_gpus else error


def seconds_to_beat(found: Solution, objective: Objective) -> float:
    """Seconds that another placement must stay below to be clearly faster, on as few GPUs."""
    return (1 - comparison_error(objective, found.prediction)) * found.seconds


def simplest(solutions: Sequence[Solution], objective: Objective) -> Solution:
    """Of those that are not clearly slower than the fastest, the one of the fewest GPUs, then patterns, then seconds.

    Among equals it is the first.
    """
    fastest = min(solutions, key=lambda solution: solution.seconds)
    close = [solution for solution in solutions if not is_clearly_faster(fastest, solution, objective)]
    return min(close, key=lambda solution: (solution.n_gpus, solution.n_patterns, solution.seconds))

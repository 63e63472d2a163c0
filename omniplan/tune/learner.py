"""What runs teach about the terms of the time model: a factor for each, with how sure it is (Bayes, in logarithms)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from omniplan.domain.prediction import Cause, Phase

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# A term of the model is off by a factor whose logarithm has this spread: two thirds of terms within 1.5 times.
PRIOR: Final = 0.4
# Two runs of one configuration differ by about this share (llama-bench prints 1 to 3 %).
NOISE: Final = 0.03
# A GPU that heat holds down loses 5 to 20 % of its clock, and half-busy cores about as much of a token's time.
DISTURBED: Final = 0.15
# Steps of Gauss and Newton; the sum of a few exponentials is nearly linear, and two would do.
_STEPS: Final = 8

Term = tuple[Phase, Cause]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Seconds that one phase took, and the seconds that the model has for each of its terms.

    ``noise`` is by which share another run may differ.
    """

    phase: Phase
    terms: Mapping[Cause, float]
    seconds: float
    noise: float = NOISE


@dataclass(frozen=True, slots=True)
class Belief:
    """The logarithm of a time: where it is expected, and how far off that may be (one standard deviation)."""

    mean: float
    spread: float


class Learner:
    """Factors of every term after ``observations``: the most probable ones, and how they vary together."""

    def __init__(self, terms: Sequence[Term], observations: Sequence[Observation]) -> None:
        import numpy as np

        self._index = {term: at for at, term in enumerate(terms)}
        self._log_factors = np.zeros(len(terms))
        precision = np.eye(len(terms)) / PRIOR**2
        for _ in range(_STEPS if observations else 0):
            gradient = -self._log_factors / PRIOR**2
            precision = np.eye(len(terms)) / PRIOR**2
            for seen in observations:
                expected, slope = self._log_seconds({(seen.phase, cause): size for cause, size in seen.terms.items()})
                gradient += slope * (float(np.log(seen.seconds)) - expected) / seen.noise**2
                precision += np.outer(slope, slope) / seen.noise**2
            self._log_factors = self._log_factors + np.linalg.solve(precision, gradient)
        self._covariance = np.linalg.inv(precision)

    def factors(self) -> Mapping[Term, float]:
        """How many times the model's seconds each term takes."""
        import numpy as np

        return {term: float(np.exp(self._log_factors[at])) for term, at in self._index.items()}

    def belief(self, terms: Mapping[Term, float]) -> Belief:
        """What the sum of ``terms``, in the model's seconds, is believed to take."""
        import numpy as np

        expected, slope = self._log_seconds(terms)
        return Belief(expected, float(np.sqrt(slope @ self._covariance @ slope)))

    def _log_seconds(self, terms: Mapping[Term, float]) -> tuple[float, NDArray[np.float64]]:
        """The logarithm of the sum under the factors, and its slope by the logarithm of each factor."""
        import numpy as np

        parts = np.zeros(len(self._index))
        for term, size in terms.items():
            parts[self._index[term]] += size
        parts *= np.exp(self._log_factors)
        total = float(parts.sum())
        return float(np.log(total)), parts / total

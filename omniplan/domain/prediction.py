"""Predicted speed, with a range, a basis and the terms it is the sum of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from omniplan.domain.evidence import Basis


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A predicted number: ``low <= value <= high``, and what it rests on."""

    low: float
    value: float
    high: float
    basis: Basis = Basis.MODELLED

    def scaled(self, factor: float) -> Estimate:
        """The same estimate in another unit."""
        return Estimate(low=self.low * factor, value=self.value * factor, high=self.high * factor, basis=self.basis)

    def inverse(self) -> Estimate:
        """1 / estimate: a time becomes a rate."""
        return Estimate(low=1 / self.high, value=1 / self.value, high=1 / self.low, basis=self.basis)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """How fast a placement will run.

    ``terms`` are seconds per generated token by cause and sum to the decode time; ``prompt_terms`` are seconds of the
    whole prompt by cause. ``n_prompt``, ``n_gen`` and ``depth`` are the workload in tokens.
    """

    decode_tokens_per_second: Estimate
    prompt_tokens_per_second: Estimate
    request_seconds: Estimate
    terms: Mapping[str, float]
    prompt_terms: Mapping[str, float]
    n_prompt: int
    n_gen: int
    depth: int
    assumptions: tuple[str, ...] = ()

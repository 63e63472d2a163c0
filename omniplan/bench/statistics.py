"""Mean and spread of samples, and the rows of a report made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean, stdev

from omniplan.bench.values import BenchRow, Sample, Summary


def summary(figures: Iterable[float | None]) -> Summary | None:
    """Mean and spread of the figures that are known; None when none is."""
    known = [figure for figure in figures if figure is not None]
    if not known:
        return None
    low, high = min(known), max(known)
    return Summary(
        n=len(known),
        # A mean in floats can end a last digit outside of what it is the mean of.
        mean=min(max(fmean(known), low), high),
        deviation=stdev(known) if len(known) > 1 else 0.0,
        low=low,
        high=high,
    )


def stability(samples: Iterable[Sample]) -> float | None:
    """Share of all attempts that were answered; None before any attempt."""
    found = list(samples)
    attempts = sum(sample.attempts for sample in found)
    return 1 - sum(len(sample.errors) for sample in found) / attempts if attempts else None


def bench_row(length: str, n_wanted: int, *, streaming: bool, samples: Sequence[Sample]) -> BenchRow:
    """Statistics of the warm samples of one length and mode."""
    warm = [s for s in samples if s.length == length and s.streaming == streaming and not s.is_cold]
    return BenchRow(
        length=length,
        n_wanted=n_wanted,
        streaming=streaming,
        attempts=sum(sample.attempts for sample in warm),
        errors=sum(len(sample.errors) for sample in warm),
        n_prompt=_middle(sample.n_prompt for sample in warm),
        n_gen=_middle(sample.n_gen for sample in warm),
        decode_tokens_per_second=summary(sample.decode_tokens_per_second for sample in warm),
        prompt_tokens_per_second=summary(sample.prompt_tokens_per_second for sample in warm),
        first_token_seconds=summary(sample.first_token_seconds for sample in warm),
    )


def _middle(counts: Iterable[int | None]) -> int | None:
    found = summary(counts)
    return None if found is None else round(found.mean)

"""How often the GPUs' cache has the expert that a token asks for: measured rows, by the share of experts it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Final

from omniplan.documents.source import read_table
from omniplan.domain.evidence import Basis
from omniplan.domain.prediction import CachedExperts, Cause, Estimate, Prediction
from omniplan.llamacpp.load.expert_cache import ExpertCache

_FILE: Final = "expert_cache.toml"
SOURCE: Final = f"data/{_FILE}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HitRow:
    """One row, as the head of the table explains it."""

    share: float
    hits: float
    low: float
    high: float
    source: str
    date: str


@cache
def rows() -> Mapping[str, HitRow]:
    """Every row, the smallest share first."""
    return read_table(_FILE, Mapping[str, HitRow])  # type: ignore[type-abstract]


def hits(share: float) -> Estimate:
    """How many of the experts that tokens ask for are among the ``share`` of all that a cache holds."""
    points = [(0.0, 0.0, 0.0, 0.0), *((row.share, row.low, row.hits, row.high) for row in rows().values()), (1.0,) * 4]
    for (start, *before), (end, *after) in pairwise(points):
        if share <= end:
            part = (share - start) / (end - start)
            low, value, high = (a + part * (b - a) for a, b in zip(before, after, strict=True))
            return Estimate(low=low, value=value, high=high, basis=Basis.MEASURED)
    return Estimate(low=1.0, value=1.0, high=1.0, basis=Basis.MEASURED)


def by_layer(cached: ExpertCache, stated: float | None) -> Mapping[int, Estimate]:
    """How often each layer's experts are found, by its share, or as ``stated`` for all."""
    known = None if stated is None else Estimate(low=stated, value=stated, high=stated, basis=Basis.MEASURED)
    return {il: known or hits(share) for il, share in cached.share.items()}


def expected(cached: ExpertCache, stated: float | None) -> CachedExperts:
    """The share of experts that a cache holds, on the average of its layers, and how often they will do."""
    n = len(cached.share)
    each = by_layer(cached, stated).values()
    return CachedExperts(
        share=sum(cached.share.values()) / n,
        hits=Estimate(
            low=sum(hit.low for hit in each) / n,
            value=sum(hit.value for hit in each) / n,
            high=sum(hit.high for hit in each) / n,
            basis=Basis.MEASURED,
        ),
        source=SOURCE if stated is None else "stated",
    )


def even_from(found: Prediction, seconds: float) -> str:
    """From which hit rate on a token takes no more than ``seconds``, in words."""
    uploads = found.terms.get(Cause.EXPERT_UPLOADS, 0.0)
    if found.cached_experts is None or not uploads:
        return "even at any hit rate"
    everything = uploads / (1 - found.cached_experts.hits.value)
    rate = 1 - (seconds - sum(found.terms.values()) + uploads) / everything
    return f"even from {max(0.0, rate):.0%} hits" if rate <= 1 else "slower at any hit rate"

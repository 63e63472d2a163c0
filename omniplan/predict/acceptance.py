"""How many drafted tokens a model keeps: measured rows per way of drafting, and what follows for other lengths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final

from omniplan.documents.source import read_table
from omniplan.domain.evidence import Basis
from omniplan.domain.prediction import Estimate

_FILE: Final = "speculation.toml"
# Halvings of an interval of 1: below any acceptance that is printed.
_HALVINGS: Final = 40


class Rhythm(StrEnum):
    """Who drafts: a head of the model, token by token; or a model of its own, so or in blocks."""

    HEAD = "head"
    TOKEN = "token"
    BLOCK = "block"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafting:
    """One way of drafting: the chance that a token is kept if all before it were, with its range; 0 where unknown."""

    rhythm: Rhythm
    chance: float = 0.0
    low: float = 0.0
    high: float = 0.0
    source: str
    date: str


@cache
def ways() -> Mapping[str, Drafting]:
    """Every way of drafting with weights, by its word of --spec-type."""
    return read_table(_FILE, Mapping[str, Drafting])  # type: ignore[type-abstract]


def acceptance(chance: float, n: int) -> float:
    """Share of ``n`` drafted tokens that is kept, each with ``chance`` if all before it were."""
    return sum(chance**i for i in range(1, n + 1)) / n


def chance_of(share: float, n: int) -> float:
    """The chance by which ``share`` of ``n`` drafted tokens are kept."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if acceptance(middle, n) < share else (low, middle)
    return high


def tokens_per_round(chance: float, n: int) -> float:
    """Tokens that a round of ``n`` drafted ones ends with: those kept, and the one that the model adds."""
    return 1 + n * acceptance(chance, n)


def assumed(way: Drafting, n: int) -> Estimate:
    """The share kept of ``n`` drafted tokens as measured rows have it."""
    low, value, high = (acceptance(chance, n) for chance in (way.low, way.chance, way.high))
    return Estimate(low=low, value=value, high=high, basis=Basis.MEASURED)

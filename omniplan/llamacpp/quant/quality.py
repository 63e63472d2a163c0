"""Rows of ``data/quality.toml``: bits per weight of llama.cpp's mixes, and what was published of what quants lose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from omniplan.documents.column import Amount, Name
from omniplan.documents.source import read_table

_FILE: Final = "quality.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class MixQuality:
    """One of llama-quantize's mixes; ``loss`` is the share of perplexity it adds to 16 bits."""

    name: Name
    bits: Amount
    loss: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedLoss:
    """What one quant loses of 16 bits on the model measured: a share of perplexity, and the mean KL divergence.

    ``imatrix`` says that it was made with an importance matrix.
    """

    name: Name
    loss: Amount
    divergence: Amount
    imatrix: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityTable:
    """The whole table; ``measured`` is the model of ``published``."""

    source: str
    measured: str
    mix: Mapping[str, MixQuality]
    published: Mapping[str, PublishedLoss]


@cache
def quality() -> QualityTable:
    """Every row; raises TableError."""
    return read_table(_FILE, QualityTable)


@cache
def mixes() -> tuple[MixQuality, ...]:
    """Every mix, largest first; raises TableError."""
    return tuple(sorted(quality().mix.values(), key=lambda mix: -mix.bits))


def loss_of(bits: float) -> float:
    """What weights of so many bits lose: that of the next smaller mix that is no larger, at most the smallest's."""
    return next((mix.loss for mix in mixes() if mix.bits <= bits * 1.02), mixes()[-1].loss)

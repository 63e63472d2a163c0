"""Rows of ``data/quality.toml``: bits per weight of llama.cpp's mixes, and the perplexity each adds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from omniplan.documents.fields import Fields
from omniplan.documents.source import read_table, wrong_rows

_FILE: Final = "quality.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class MixQuality:
    """One of llama-quantize's mixes; ``loss`` is the share of perplexity it adds to 16 bits."""

    name: str
    bits: float
    loss: float


@cache
def mixes() -> tuple[MixQuality, ...]:
    """Every mix, largest first; raises TableError."""
    with wrong_rows(_FILE):
        return tuple(sorted(_mixes(), key=lambda mix: -mix.bits))


def _mixes() -> list[MixQuality]:
    found = []
    for name, raw in read_table(_FILE)["mix"].items():
        fields = Fields.of(raw, f"mix.{name}")
        found.append(MixQuality(name=name, bits=fields.number("bits") or 0.0, loss=fields.number("loss") or 0.0))
        fields.done()
    return found


def loss_of(bits: float) -> float:
    """What weights of so many bits lose: that of the next smaller mix that is no larger, at most the smallest's."""
    return next((mix.loss for mix in mixes() if mix.bits <= bits * 1.02), mixes()[-1].loss)

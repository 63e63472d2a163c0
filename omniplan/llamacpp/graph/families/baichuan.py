"""Baichuan (src/models/baichuan.cpp)."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.recipe import Recipe, Rope

# Only the 7B model, known by its depth, has rotary positions; the others use ALiBi.
_ROPE_DEPTH: Final = 32


def build(b: Builder) -> None:
    """Baichuan 7B with rotary positions, 13B without."""
    decoder.build(b, Recipe(rope=Rope.ALL if b.hparams.n_layer == _ROPE_DEPTH else Rope.NONE))

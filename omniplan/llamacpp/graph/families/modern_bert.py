"""ModernBERT: an encoder whose first layer has no norm, since the embeddings have one (src/models/modern-bert.cpp)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.recipe import Embedding, Inputs, Recipe

_RECIPE: Final = Recipe(
    norm="layer",
    embedding=Embedding.NORMED,
    cache=False,
    act="GEGLU",
    gate="seq",
    out_bias=False,
    ffn_bias=False,
    logits=False,
)


def build(b: Builder) -> None:
    """Fill ``b.graph`` with the encoder."""
    decoder.build(b, _RECIPE, _layer)


def _layer(b: Builder, recipe: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
    has_norm = b.layer(il, "attn_norm.weight") is not None
    return decoder.layer(b, recipe if has_norm else replace(recipe, attn_norm=""), inputs, il, x)

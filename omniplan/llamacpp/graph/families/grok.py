"""Grok (src/models/grok.cpp)."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.ffn import ffn
from omniplan.llamacpp.graph.moe import Moe, moe
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import add, scale
from omniplan.llamacpp.graph.recipe import Embedding, Recipe, When

_MOE: Final = Moe(act="GELU")


def build(b: Builder) -> None:
    """Experts beside a dense FFN, and factors that old files leave to the loader."""
    has_layer_norm = b.layer(0, "layer_output_norm.weight") is not None
    recipe = Recipe(
        embedding=Embedding.SCALED if b.model.key("embedding_scale") is None else Embedding.PLAIN,
        softcap=True,
        post_attn_norm="attn_output_norm",
        post_ffn_norm="layer_output_norm" if has_layer_norm else "post_ffw_norm",
        post_ffn_pin=True,
        feed=_routed_beside_dense,
        logit_scale=When.ALWAYS,
        logit_softcap=When.HEADER,
    )
    decoder.build(b, recipe)


def _routed_beside_dense(b: Builder, _: Recipe, il: int, x: Node) -> Node:
    experts = moe(b, il, x, _MOE)
    if b.layer(il, "ffn_up.weight") is None:
        return experts
    return scale(add(ffn(b, il, x, "GELU"), experts))

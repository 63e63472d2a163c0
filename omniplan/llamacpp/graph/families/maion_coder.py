"""Maion Coder: sandwich norms, positions in sliding layers alone, experts in a narrower space (maion-coder.cpp)."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.ffn import ffn
from omniplan.llamacpp.graph.linear import product
from omniplan.llamacpp.graph.moe import Moe, routed
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import mul_mat
from omniplan.llamacpp.graph.recipe import QkNorm, Recipe, Rope

_MOE: Final = Moe()


def _feed(b: Builder, _: Recipe, il: int, x: Node) -> Node:
    router = b.layer(il, "ffn_gate_inp.weight")
    if router is None:
        return ffn(b, il, x, bias=False)
    logits = product(router, x)
    narrow = mul_mat(b.need(il, "ffn_latent_down.weight"), x)
    return mul_mat(b.need(il, "ffn_latent_up.weight"), routed(b, il, narrow, _MOE, logits=logits))


RECIPE: Final = Recipe(
    qk_norm=QkNorm.BEFORE,
    rope=Rope.SLIDING,
    out_bias=False,
    post_attn_norm="post_attention_norm",
    post_ffn_norm="post_ffw_norm",
    post_ffn_pin=True,
    output_bias=False,
    feed=_feed,
)

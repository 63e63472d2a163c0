"""Kolibri 1: sandwich norms, positions in sliding layers alone, experts chosen by biased logits (kolibri1.cpp)."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.moe import Gating, Moe, Shared, routed, shared
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import add, mul_mat
from omniplan.llamacpp.graph.recipe import QkNorm, Recipe, Rope, Rows
from omniplan.llamacpp.graph.views import argsort_top_k

_MOE: Final = Moe(gating=Gating.SIGMOID, gating_key=True, norm=None, shared=Shared.PLAIN)


def _feed(b: Builder, _: Recipe, il: int, x: Node) -> Node:
    """The choice looks at the logits; probabilities only weigh."""
    logits = mul_mat(b.need(il, "ffn_gate_inp.weight"), x)
    chosen = argsort_top_k(add(logits, b.need(il, "exp_probs_b.bias")), b.hparams.n_expert_used[il])
    return add(routed(b, il, x, _MOE, logits=logits, given=chosen), shared(b, il, x, _MOE))


RECIPE: Final = Recipe(
    qk_norm=QkNorm.BEFORE,
    rope=Rope.SLIDING,
    out_bias=False,
    post_attn_norm="post_attention_norm",
    post_ffn_norm="post_ffw_norm",
    post_ffn_pin=True,
    rows=Rows.POST_NORM,
    output_bias=False,
    feed=_feed,
)

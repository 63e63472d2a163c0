"""ERNIE 4.5 with experts (src/models/ernie4-5-moe.cpp)."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.ffn import ffn
from omniplan.llamacpp.graph.moe import Moe, Shared, moe
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.recipe import Recipe

_MOE: Final = Moe(shared=Shared.PLAIN)


def _feed(b: Builder, recipe: Recipe, il: int, x: Node) -> Node:
    """Experts in every n-th layer after the dense lead, a dense FFN elsewhere."""
    is_routed = il >= b.hparams.n_layer_dense_lead and (il + 1) % max(1, b.count("interleave_moe_layer_step")) == 0
    return moe(b, il, x, _MOE) if is_routed else ffn(b, il, x, recipe.act)


RECIPE: Final = Recipe(out_bias=False, feed=_feed)

"""GroveMoE: experts of two sizes (src/models/grovemoe.cpp)."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.moe import Moe, Selection, routed
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import add, mul_mat, scale
from omniplan.llamacpp.graph.recipe import QkNorm, Recipe

_MOE: Final = Moe(selection=Selection.SIGMOID)


def _feed(b: Builder, _: Recipe, il: int, x: Node) -> Node:
    """Experts, then chunk experts that groups of them share, on the first ones' output (src/models/grovemoe.cpp)."""
    logits = mul_mat(b.need(il, "ffn_gate_inp.weight"), x)
    main = routed(b, il, x, _MOE, logits=logits)
    is_grouped = b.count("experts_per_group", 1) > 1
    return add(main, scale(routed(b, il, main, _MOE, logits=logits, stem="chexps", grouped=is_grouped)))


RECIPE: Final = Recipe(qk_norm=QkNorm.BEFORE, feed=_feed)

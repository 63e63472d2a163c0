"""MiMo 2 (src/models/mimo2.cpp)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph import decoder, nextn
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.moe import Gating, Moe
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import scale
from omniplan.llamacpp.graph.recipe import Inputs, Recipe, Rows


def _value_scaled(b: Builder, recipe: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
    """Attention whose output is scaled when the header has a value scale other than one."""
    result = decoder.attention(b, recipe, inputs, il, x)
    return result if b.number("attention.value_scale") in (0.0, 1.0) else scale(result)


def build_nextn(b: Builder) -> None:
    """The nextn layer, whose FFN is dense."""
    nextn.build(b, replace(RECIPE, moe=None, rows=Rows.END))


RECIPE: Final = Recipe(
    qkv=attn.bare_qkv, sinks=True, out_bias=False, attention=_value_scaled, moe=Moe(gating=Gating.SIGMOID)
)

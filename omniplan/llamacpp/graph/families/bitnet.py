"""BitNet: a norm inside attention and one inside the FFN (src/models/bitnet.cpp)."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.ffn import activate
from omniplan.llamacpp.graph.linear import layer_norm, project
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import rope
from omniplan.llamacpp.graph.recipe import Inputs, Recipe


def _attention(b: Builder, _: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
    """Attention whose result is normalised before the output projection."""
    assert inputs.attention is not None
    q, k, v = attn.qkv_of(b, il, x)
    q, k = rope(q, inputs.positions), rope(k, inputs.positions)
    result = attn.cached(b, inputs.attention, il, q, k, v, out="")
    return project(b, il, "attn_output", layer_norm(b, il, "attn_sub_norm", result))


def _feed(b: Builder, _: Recipe, il: int, x: Node) -> Node:
    """An FFN whose inner rows are normalised before the down projection."""
    up, gate = (project(b, il, stem, x, bias=False) for stem in ("ffn_up", "ffn_gate"))
    inner = layer_norm(b, il, "ffn_sub_norm", activate(b, il, "SILU", gate, up))
    return project(b, il, "ffn_down", inner, bias=False)


RECIPE: Final = Recipe(attention=_attention, feed=_feed, input_head=True, output_scale=False)

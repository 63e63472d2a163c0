"""Snowflake Arctic: a dense FFN after attention, experts on the layer's input (src/models/arctic.cpp)."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.ffn import ffn
from omniplan.llamacpp.graph.linear import layer_norm
from omniplan.llamacpp.graph.moe import Moe, moe
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import add, get_rows
from omniplan.llamacpp.graph.recipe import Inputs, Recipe

_MOE: Final = Moe()


def build(b: Builder) -> None:
    """Snowflake Arctic: a dense FFN after attention, experts on the layer's input (src/models/arctic.cpp)."""
    decoder.build(b, Recipe(out_bias=False), _layer)


def _layer(b: Builder, recipe: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
    mixed = decoder.attention(b, recipe, inputs, il, layer_norm(b, il, "attn_norm", x))
    if il == b.hparams.n_layer - 1:
        mixed, x = get_rows(mixed, inputs.out_ids), get_rows(x, inputs.out_ids)
    hidden = add(mixed, x)
    dense = add(ffn(b, il, layer_norm(b, il, "ffn_norm", hidden)), hidden)
    return add(moe(b, il, layer_norm(b, il, "ffn_norm_exps", x), _MOE), dense)

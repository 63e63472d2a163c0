"""Nemotron from Llama by architecture search: layers without attention or FFN (src/models/deci.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.ffn import ffn
from omniplan.llamacpp.graph.linear import layer_norm
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import add, get_rows, mul_mat
from omniplan.llamacpp.graph.recipe import Inputs, Recipe


def build(b: Builder) -> None:
    """Nemotron from Llama by architecture search: layers without attention or FFN (src/models/deci.cpp)."""
    decoder.build(b, Recipe(rope_factors=True), _layer)


def _layer(b: Builder, recipe: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
    h = b.hparams
    if h.n_head[il] == 0:
        mixed = x
    else:
        mixed = layer_norm(b, il, "attn_norm", x)
        if h.n_head_kv[il] == 0:
            mixed = mul_mat(b.need(il, "attn_output.weight"), mixed)
        else:
            mixed = decoder.attention(b, recipe, inputs, il, mixed)
    if h.n_ff[il] == 0:
        # llama.cpp drops what such a layer has computed.
        return x
    if il == h.n_layer - 1:
        mixed, x = get_rows(mixed, inputs.out_ids), get_rows(x, inputs.out_ids)
    hidden = mixed if h.n_head[il] == 0 else add(mixed, x)
    return add(ffn(b, il, layer_norm(b, il, "ffn_norm", hidden)), hidden)

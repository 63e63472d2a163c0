"""Beam: sandwich norms, scaled blocks and residuals, gates with a bias per head (beam.cpp).

Read off the graphs that llama.cpp b11739 builds; its source was not at hand.
"""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.linear import layer_norm, product, project
from omniplan.llamacpp.graph.moe import KEYED
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import add, get_rows, mul, rope, scale, unary
from omniplan.llamacpp.graph.recipe import Inputs, Recipe
from omniplan.llamacpp.graph.views import reshape

_RECIPE: Final = Recipe(attn_temp=True, moe=KEYED, ffn_bias=False, output_bias=False)


def build(b: Builder) -> None:
    """The whole decoder."""
    x = decoder.embed(b, _RECIPE)
    inputs = decoder.shared_inputs(b, _RECIPE)
    for il in range(b.hparams.n_layer):
        mixed = layer_norm(b, il, "post_attention_norm", _attention(b, inputs, il, layer_norm(b, il, "attn_norm", x)))
        if il == b.last_layer:
            mixed, x = get_rows(mixed, inputs.out_ids), get_rows(x, inputs.out_ids)
        x = add(scale(mixed), scale(x))
        cur = decoder.feed(b, _RECIPE, il, layer_norm(b, il, "ffn_norm", x))
        x = add(scale(layer_norm(b, il, "post_ffw_norm", cur)), scale(x))
    decoder.head(b, _RECIPE, x)


def _attention(b: Builder, inputs: Inputs, il: int, x: Node) -> Node:
    """Positions in sliding layers, a temperature in the others."""
    assert inputs.attention is not None
    q, k, v = attn.qkv_of(b, il, x)
    q, k = layer_norm(b, il, "attn_q_norm", q), layer_norm(b, il, "attn_k_norm", k)
    if b.hparams.is_swa[il]:
        q, k = rope(q, inputs.positions), rope(k, inputs.positions)
    elif inputs.attn_scale is not None:
        q = mul(q, inputs.attn_scale)
    result = attn.cached(b, inputs.attention, il, q, k, v, out="")
    return project(b, il, "attn_output", mul(result, _gate(b, il, x)), bias=False)


def _gate(b: Builder, il: int, x: Node) -> Node:
    head, n_head = b.hparams.n_embd_head_v[il], b.hparams.n_head[il]
    gate = reshape(product(b.need(il, "attn_gate.weight"), x), head, n_head, b.n_tokens)
    gate = unary("SIGMOID", add(gate, reshape(b.need(il, "attn_gate.bias"), 1, n_head)))
    return reshape(gate, head * n_head, b.n_tokens)

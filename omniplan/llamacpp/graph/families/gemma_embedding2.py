"""EmbeddingGemma 2: Gemma 4's layers over the batch itself, inputs of each projected alone (gemma-embedding2.cpp)."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.families.gemma4 import slice_of
from omniplan.llamacpp.graph.ffn import ffn
from omniplan.llamacpp.graph.linear import layer_norm, normed, project, scaled
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import add, cont, get_rows, mul, mul_mat, rms_norm, rope, scale, unary
from omniplan.llamacpp.graph.recipe import Embedding, Inputs, Recipe
from omniplan.llamacpp.graph.views import reshape, swap_middle

_RECIPE: Final = Recipe(embedding=Embedding.SCALED_TOKENS, cache=False)


def build(b: Builder) -> None:
    """The whole encoder; its rows are projected to the width that the host reads."""
    x = decoder.embed(b, _RECIPE)
    inputs = decoder.shared_inputs(b, _RECIPE)
    extra = _layer_inputs(b, x)
    for il in range(b.hparams.n_layer):
        x = _layer(b, inputs, il, x, slice_of(extra, il))
    device = b.hparams.n_layer_all
    x = normed("rms", x, b.shared("output_norm.weight", device), None, -1)
    x = scaled(b.need_shared("output.weight", device), x, b.shared("output.scale", device))
    b.embedding = x
    b.graph.output(x)
    b.graph.expand(x)


def _layer(b: Builder, inputs: Inputs, il: int, x: Node, own_input: Node) -> Node:
    mixed = _attention(b, inputs, il, layer_norm(b, il, "attn_norm", x))
    if il == b.last_layer:
        mixed, x = get_rows(mixed, inputs.out_ids), get_rows(x, inputs.out_ids)
        own_input = get_rows(own_input, inputs.out_ids)
    hidden = add(layer_norm(b, il, "post_attention_norm", mixed), x)
    cur = ffn(b, il, layer_norm(b, il, "ffn_norm", hidden), "GELU", scale=True, bias=False)
    cur = add(layer_norm(b, il, "post_ffw_norm", cur, pin=-1), hidden)
    gate = unary("GELU", mul_mat(b.need(il, "inp_gate.weight"), cur))
    own = mul_mat(b.need(il, "proj.weight"), mul(gate, own_input))
    cur = add(cur, layer_norm(b, il, "post_norm", own))
    return mul(cur, b.need(il, "layer_output_scale.weight"))


def _attention(b: Builder, inputs: Inputs, il: int, x: Node) -> Node:
    rows = (project(b, il, f"attn_{part}", x, bias=False) for part in "qkv")
    q, k, v = (reshape(part, *heads, b.n_tokens) for part, heads in zip(rows, attn.heads_of(b, il), strict=True))
    q, k, v = layer_norm(b, il, "attn_q_norm", q), layer_norm(b, il, "attn_k_norm", k), rms_norm(v)
    mask = inputs.batch_window if b.hparams.is_swa[il] else inputs.batch_mask
    assert mask is not None
    return attn.uncached(b, mask, il, rope(q, inputs.positions), rope(k, inputs.positions), v, out_bias=False)


def _layer_inputs(b: Builder, x: Node) -> Node:
    """A projection of the embeddings, [width, n_tokens, n_layer]."""
    width = b.count("embedding_length_per_layer_input")
    rows = scale(mul_mat(b.need_shared("per_layer_model_proj.weight", 0), x))
    rows = reshape(rows, width, b.hparams.n_layer, b.n_tokens)
    return cont(swap_middle(normed("rms", rows, b.shared("per_layer_proj_norm.weight", 0), None, -1)))

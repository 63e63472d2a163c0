"""Decoders without a dump: Apertus, BitNet, Gemma 3n, Gemma 4. Nothing has compared their graphs on a GPU.

On made-up headers they equal, node by node, those of a build of llama.cpp without one.
Upstream: src/models/apertus.cpp, bitnet.cpp, gemma3n.cpp, gemma4.cpp.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.families import gemma3n
from omniplan.llamacpp.graph.families.gemma_layers import layer_inputs, reused_layer, slice_of
from omniplan.llamacpp.graph.ffn import activate, ffn
from omniplan.llamacpp.graph.linear import layer_norm, project, scaled
from omniplan.llamacpp.graph.moe import Moe, routed
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import add, cont, mul, mul_mat, rms_norm, rope, scale, unary
from omniplan.llamacpp.graph.recipe import Inputs, Recipe
from omniplan.llamacpp.graph.views import reshape, view_2d

_GEMMA4_MOE: Final = Moe(act="GELU", scales=True)


def bitnet_attention(b: Builder, _: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
    """Attention whose result is normalised before the output projection."""
    assert inputs.attention is not None
    q, k, v = attn.qkv_of(b, il, x)
    q, k = rope(q, inputs.positions), rope(k, inputs.positions)
    result = attn.cached(b, inputs.attention, il, q, k, v, out="")
    return project(b, il, "attn_output", layer_norm(b, il, "attn_sub_norm", result))


def bitnet_feed(b: Builder, _: Recipe, il: int, x: Node) -> Node:
    """An FFN whose inner rows are normalised before the down projection."""
    up, gate = (project(b, il, stem, x, bias=False) for stem in ("ffn_up", "ffn_gate"))
    inner = layer_norm(b, il, "ffn_sub_norm", activate(b, il, "SILU", gate, up))
    return project(b, il, "ffn_down", inner, bias=False)


def gemma4(b: Builder) -> None:
    """Gemma 4: per-layer inputs, layers that reuse an earlier cache, experts beside a dense FFN."""
    recipe = Recipe(embedding="scale_tokens", rows="normed", logit_softcap="header")
    x = decoder.embed(b, recipe)
    inputs = decoder.shared_inputs(b, recipe)
    n_extra = int(b.number("embedding_length_per_layer_input"))
    extra = layer_inputs(b, x, n_extra) if n_extra else None
    for il in range(b.hparams.n_layer):
        x = _gemma4_layer(b, inputs, il, x, extra)
    decoder.head(b, recipe, x, inputs.out_ids)


def _gemma4_layer(b: Builder, inputs: Inputs, il: int, x: Node, extra: Node | None) -> Node:
    mixed = _gemma4_attention(b, inputs, il, layer_norm(b, il, "attn_norm", x))
    hidden = add(layer_norm(b, il, "post_attention_norm", mixed), x)
    cur = add(layer_norm(b, il, "post_ffw_norm", _gemma4_feed(b, il, hidden), pin=-1), hidden)
    if extra is not None:
        gate = unary("GELU", mul_mat(b.need(il, "inp_gate.weight"), cur))
        own = mul_mat(b.need(il, "proj.weight"), mul(gate, slice_of(extra, il)))
        cur = add(cur, layer_norm(b, il, "post_norm", own))
    factor = b.layer(il, "layer_output_scale.weight")
    return cur if factor is None else mul(cur, factor)


def _gemma4_attention(b: Builder, inputs: Inputs, il: int, x: Node) -> Node:
    assert inputs.attention is not None
    h = b.hparams
    factors = None if h.is_swa[il] else b.shared("rope_freqs.weight", il)
    q, k, v = _gemma4_qkv(b, il, x)
    q = rope(layer_norm(b, il, "attn_q_norm", q), inputs.positions, factors)
    if k is None or v is None:
        return attn.cached(b, inputs.attention, il, q, None, None, out_bias=False, cache_il=reused_layer(h, il))
    k, v = layer_norm(b, il, "attn_k_norm", k), rms_norm(v)
    return attn.cached(b, inputs.attention, il, q, rope(k, inputs.positions, factors), v, out_bias=False)


def _gemma4_qkv(b: Builder, il: int, x: Node) -> tuple[Node, Node | None, Node | None]:
    """Q, K and V as heads; V is K's projection where the file has no other, both are None without an own cache."""
    h, n = b.hparams, b.n_tokens
    size, n_head, n_head_kv = h.n_embd_head_k[il], h.n_head[il], h.n_head_kv[il]
    parts: list[Node]
    if b.layer(il, "attn_qkv.weight") is not None:
        all_rows = project(b, il, "attn_qkv", x, bias=False)
        widths = (size * n_head, size * n_head_kv, size * n_head_kv)
        starts = (0, widths[0], widths[0] + widths[1])
        cuts = zip(widths, starts, strict=True)
        parts = [cont(view_2d(all_rows, w, n, all_rows.nb[1], at * all_rows.nb[0])) for w, at in cuts]
    else:
        parts = [project(b, il, "attn_q", x, bias=False)]
        if h.has_kv[il]:
            k = project(b, il, "attn_k", x, bias=False)
            parts += [k, project(b, il, "attn_v", x, bias=False) if b.layer(il, "attn_v.weight") else k]
    q = reshape(parts[0], size, n_head, n)
    if not h.has_kv[il]:
        return q, None, None
    return q, reshape(parts[1], size, n_head_kv, n), reshape(parts[2], size, n_head_kv, n)


def _gemma4_feed(b: Builder, il: int, hidden: Node) -> Node:
    dense = ffn(b, il, layer_norm(b, il, "ffn_norm", hidden), "GELU", scale=True, bias=False)
    if b.layer(il, "ffn_gate_inp.weight") is None:
        return dense
    dense = layer_norm(b, il, "post_ffw_norm_1", dense)
    x = layer_norm(b, il, "pre_ffw_norm_2", hidden)
    router = mul(scale(rms_norm(hidden)), b.need(il, "ffn_gate_inp.scale"))
    logits = scaled(b.need(il, "ffn_gate_inp.weight"), router, None)
    experts = routed(b, il, x, _GEMMA4_MOE, logits=logits)
    return add(dense, layer_norm(b, il, "post_ffw_norm_2", experts))


FAMILIES: Final[dict[str, Recipe | Callable[[Builder], None]]] = {
    "apertus": Recipe(qk_norm="before", rope_factors=True, act="XIELU"),
    "bitnet": Recipe(attention=bitnet_attention, feed=bitnet_feed, input_head=True, output_scale=False),
    "gemma3n": gemma3n.gemma3n,
    "gemma4": gemma4,
}

"""Gemma 4: an input of its own for every layer, layers without a cache of their own (src/models/gemma4.cpp).

Gemma 3n shares the first two: ``build_inp_per_layer``, ``project_per_layer_inputs``, and ``layer_reuse`` of
src/llama-model.cpp:create_memory.
"""

from __future__ import annotations

from typing import Final

from omniplan.domain.hparams import Hparams
from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.ffn import ffn
from omniplan.llamacpp.graph.linear import layer_norm, normed, project, scaled
from omniplan.llamacpp.graph.moe import Moe, routed
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import I32, add, cont, get_rows, mul, mul_mat, rms_norm, rope, scale, unary
from omniplan.llamacpp.graph.recipe import Embedding, Inputs, Recipe, Rows, When
from omniplan.llamacpp.graph.views import reshape, swap_middle, view_2d

_MOE: Final = Moe(act="GELU", scales=True)


def build(b: Builder, *, rows: str = Rows.NORMED, early_rows: bool = False) -> None:
    """Gemma 4: per-layer inputs, layers that reuse an earlier cache, experts beside a dense FFN.

    ``rows`` as in ``Recipe``. ``early_rows``: the per-layer rows are looked up before the embeddings, and scaled late.
    """
    recipe = Recipe(embedding=Embedding.SCALED_TOKENS, rows=Rows(rows), logit_softcap=When.HEADER)
    width = b.count("embedding_length_per_layer_input")
    looked_up = layer_rows(b, width, late=True) if width and early_rows else None
    x = decoder.embed(b, recipe)
    inputs = decoder.shared_inputs(b, recipe)
    if width and looked_up is None:
        looked_up = layer_rows(b, width)
    extra = None if looked_up is None else layer_inputs(b, x, looked_up)
    for il in range(b.hparams.n_layer):
        x = _layer(b, recipe, inputs, il, x, extra)
    decoder.head(b, recipe, x, inputs.out_ids)


def _layer(b: Builder, recipe: Recipe, inputs: Inputs, il: int, x: Node, extra: Node | None) -> Node:
    mixed = _attention(b, inputs, il, layer_norm(b, il, "attn_norm", x))
    own_input = None if extra is None else slice_of(extra, il)
    if recipe.rows is Rows.LAST and il == b.hparams.n_layer - 1:
        mixed, x = get_rows(mixed, inputs.out_ids), get_rows(x, inputs.out_ids)
        own_input = None if own_input is None else get_rows(own_input, inputs.out_ids)
    hidden = add(layer_norm(b, il, "post_attention_norm", mixed), x)
    cur = add(layer_norm(b, il, "post_ffw_norm", _feed(b, il, hidden), pin=-1), hidden)
    if own_input is not None:
        gate = unary("GELU", mul_mat(b.need(il, "inp_gate.weight"), cur))
        own = mul_mat(b.need(il, "proj.weight"), mul(gate, own_input))
        cur = add(cur, layer_norm(b, il, "post_norm", own))
    factor = b.layer(il, "layer_output_scale.weight")
    return cur if factor is None else mul(cur, factor)


def _attention(b: Builder, inputs: Inputs, il: int, x: Node) -> Node:
    assert inputs.attention is not None
    h = b.hparams
    factors = None if h.is_swa[il] else b.shared("rope_freqs.weight", il)
    q, k, v = _qkv(b, il, x)
    q = rope(layer_norm(b, il, "attn_q_norm", q), inputs.positions, factors)
    if k is None or v is None:
        return attn.cached(b, inputs.attention, il, q, None, None, out_bias=False, cache_il=reused_layer(h, il))
    k, v = layer_norm(b, il, "attn_k_norm", k), rms_norm(v)
    return attn.cached(b, inputs.attention, il, q, rope(k, inputs.positions, factors), v, out_bias=False)


def _qkv(b: Builder, il: int, x: Node) -> tuple[Node, Node | None, Node | None]:
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


def _feed(b: Builder, il: int, hidden: Node) -> Node:
    dense = ffn(b, il, layer_norm(b, il, "ffn_norm", hidden), "GELU", scale=True, bias=False)
    if b.layer(il, "ffn_gate_inp.weight") is None:
        return dense
    dense = layer_norm(b, il, "post_ffw_norm_1", dense)
    x = layer_norm(b, il, "pre_ffw_norm_2", hidden)
    router = mul(scale(rms_norm(hidden)), b.need(il, "ffn_gate_inp.scale"))
    logits = scaled(b.need(il, "ffn_gate_inp.weight"), router, None)
    experts = routed(b, il, x, _MOE, logits=logits)
    return add(dense, layer_norm(b, il, "post_ffw_norm_2", experts))


def layer_rows(b: Builder, width: int, *, late: bool = False) -> Node:
    """A second embedding, one row of ``width`` per token and layer; ``late``: its scaling is left for later."""
    rows = get_rows(b.need_shared("per_layer_token_embd.weight"), b.input("inp_per_layer_tokens", I32, b.n_tokens))
    shape = (width, b.hparams.n_layer, b.n_tokens)
    if late:
        b.graph.expand(rows)
        return reshape(scale(rows), *shape)
    rows = scale(reshape(rows, *shape))
    b.graph.expand(rows)
    return rows


def layer_inputs(b: Builder, x: Node, rows: Node) -> Node:
    """The rows plus a projection of the embeddings, [width, n_tokens, n_layer]."""
    projected = scale(mul_mat(b.need_shared("per_layer_model_proj.weight", 0), x))
    projected = reshape(projected, *rows.ne[:3])
    projected = normed("rms", projected, b.shared("per_layer_proj_norm.weight", 0), None, -1)
    return cont(swap_middle(scale(add(projected, rows))))


def slice_of(x: Node, index: int) -> Node:
    """Matrix ``index`` of a three-dimensional tensor."""
    row = x.type.row_size(x.ne[0])
    return view_2d(x, x.ne[0], x.ne[1], row, index * row * x.ne[1])


def reused_layer(h: Hparams, il: int) -> int:
    """The layer whose cache ``il`` reads when it has none: the last of its kind among those that have one."""
    return sum(h.has_kv) - (2 if h.is_swa[il] else 1)

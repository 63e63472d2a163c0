"""Gemma 3n: parallel residual streams (AltUp), a low-rank bypass (Laurel) and sparse gates.

Upstream: src/models/gemma3n.cpp.
"""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.families.gemma4 import layer_inputs, layer_rows, reused_layer, slice_of
from omniplan.llamacpp.graph.linear import layer_norm, project
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import (
    add,
    concat,
    cont,
    div,
    get_rows,
    mean,
    mul,
    mul_mat,
    repeat,
    rms_norm,
    rope,
    scale,
    sqr,
    sqrt,
    sub,
    sum_rows,
    unary,
)
from omniplan.llamacpp.graph.recipe import Embedding, Inputs, Recipe, When
from omniplan.llamacpp.graph.views import permute, reshape, swap_middle, transpose, view_2d, view_3d

# src/models/models.h:n_layer_sparsity; the gates of the first layers are sparse.
_SPARSE_LAYERS: Final = 10


def build(b: Builder) -> None:
    """The whole graph; stream 0 is the active one."""
    recipe = Recipe(embedding=Embedding.SCALED_TOKENS, logit_softcap=When.ALWAYS)
    x = decoder.embed(b, recipe)
    inputs = decoder.shared_inputs(b, recipe)
    extra = layer_inputs(b, x, layer_rows(b, b.need_shared("per_layer_proj_norm.weight", 0).ne[0]))
    streams = _spread(b, x)
    for il in range(b.hparams.n_layer):
        streams = _layer(b, inputs, il, streams, extra)
    decoder.head(b, recipe, get_rows(_merged(b, streams), inputs.out_ids))


def _spread(b: Builder, x: Node) -> Node:
    weight = b.need_shared("altup_proj.weight", b.hparams.n_layer_all)
    target = _magnitude(x)
    added = mul_mat(weight, repeat(x, (x.ne[0], x.ne[1], weight.ne[2], 1)))
    return concat(x, div(mul(added, target), _magnitude(added)), 2)


def _merged(b: Builder, streams: Node) -> Node:
    weight = b.need_shared("altup_unembd_proj.weight", b.hparams.n_layer_all)
    target = _magnitude(slice_of(streams, 0))
    others = mul_mat(weight, _rest(streams))
    others = div(mul(others, target), _magnitude(others))
    total = slice_of(streams, 0)
    for i in range(others.ne[2]):
        total = add(total, slice_of(others, i))
    return scale(total)


def _magnitude(x: Node) -> Node:
    return sqrt(sum_rows(sqr(x)))


def _rest(x: Node) -> Node:
    return view_3d(x, x.ne[0], x.ne[1], x.ne[2] - 1, x.nb[1], x.nb[2], x.nb[2])


def _layer(b: Builder, inputs: Inputs, il: int, streams: Node, extra: Node) -> Node:
    predictions = _predicted(b, il, streams)
    active = slice_of(predictions, 0)
    cur = layer_norm(b, il, "attn_norm", active)
    bypass = _laurel(b, il, cur)
    mixed = layer_norm(b, il, "post_attention_norm", _attention(b, inputs, il, cur))
    hidden = scale(add(add(mixed, active), bypass))
    cur = _feed(b, il, layer_norm(b, il, "ffn_norm", hidden))
    cur = add(layer_norm(b, il, "post_ffw_norm", cur, pin=-1), hidden)
    return _with_extra(b, il, _corrected(b, il, predictions, cur), extra)


def _attention(b: Builder, inputs: Inputs, il: int, x: Node) -> Node:
    assert inputs.attention is not None
    h = b.hparams
    if not h.has_kv[il]:
        q = rope(layer_norm(b, il, "attn_q_norm", _query(b, il, x)), inputs.positions)
        return attn.cached(b, inputs.attention, il, q, None, None, out_bias=False, cache_il=reused_layer(h, il))
    q, k, v = attn.qkv_of(b, il, x)
    q, k, v = layer_norm(b, il, "attn_q_norm", q), layer_norm(b, il, "attn_k_norm", k), rms_norm(v)
    q, k = rope(q, inputs.positions), rope(k, inputs.positions)
    return attn.cached(b, inputs.attention, il, q, k, v, out_bias=False)


def _query(b: Builder, il: int, x: Node) -> Node:
    h, n = b.hparams, b.n_tokens
    size, n_head = h.n_embd_head_k[il], h.n_head[il]
    if b.layer(il, "attn_qkv.weight") is not None:
        rows = project(b, il, "attn_qkv", x, scale=False, bias=False)
        return reshape(cont(view_2d(rows, size * n_head, n, rows.nb[1])), size, n_head, n)
    return reshape(project(b, il, "attn_q", x, scale=False, bias=False), size, n_head, n)


def _laurel(b: Builder, il: int, x: Node) -> Node:
    low = mul_mat(b.need(il, "laurel_r.weight"), mul_mat(b.need(il, "laurel_l.weight"), x))
    return add(layer_norm(b, il, "laurel_post_norm", low), x)


def _feed(b: Builder, il: int, x: Node) -> Node:
    up, gate = mul_mat(b.need(il, "ffn_up.weight"), x), mul_mat(b.need(il, "ffn_gate.weight"), x)
    if il < _SPARSE_LAYERS:
        gate = _sparse(gate)
    return mul_mat(b.need(il, "ffn_down.weight"), mul(up, unary("GELU", gate)))


def _sparse(x: Node) -> Node:
    """Only what exceeds the mean by a multiple of the standard deviation."""
    average = mean(x)
    deviation = sqrt(scale(sum_rows(sqr(sub(x, average)))))
    return unary("RELU", sub(x, add(average, scale(deviation))))


def _routing(b: Builder, il: int, x: Node) -> Node:
    rows = scale(layer_norm(b, il, "altup_router_norm", x))
    return unary("TANH", mul_mat(b.need(il, "altup_router.weight"), rows))


def _predicted(b: Builder, il: int, streams: Node) -> Node:
    n_streams, n = streams.ne[2], streams.ne[1]
    coefs = mul_mat(b.need(il, "altup_predict_coef.weight"), _routing(b, il, slice_of(streams, 0)))
    coefs = reshape(coefs, n_streams, n_streams, n)
    mixed = mul_mat(cont(permute(streams, 1, 2, 0, 3)), coefs)
    return add(cont(swap_middle(mixed)), streams)


def _corrected(b: Builder, il: int, predictions: Node, active: Node) -> Node:
    n_embd, n, n_streams, _ = predictions.ne
    routing = _routing(b, il, active)
    change = sub(active, slice_of(predictions, 0))
    coefs = transpose(scale(mul_mat(b.need(il, "altup_correct_coef.weight"), routing)))
    coefs = cont(coefs, (1, n, n_streams, 1))
    return add(mul(repeat(change, (n_embd, n, n_streams, 1)), coefs), predictions)


def _with_extra(b: Builder, il: int, streams: Node, extra: Node) -> Node:
    """The layer's own input joins the streams that are not active."""
    first = mul(slice_of(streams, 0), b.need(il, "altup_correct_scale.weight"))
    first = unary("GELU", mul_mat(b.need(il, "inp_gate.weight"), first))
    first = mul_mat(b.need(il, "proj.weight"), mul(first, slice_of(extra, il)))
    first = layer_norm(b, il, "post_norm", first)
    return concat(slice_of(streams, 0), add(_rest(streams), first), 2)

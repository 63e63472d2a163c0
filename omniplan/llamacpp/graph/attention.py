"""Attention: Q, K and V projections, cache store and views, the attention itself with and without flash attention.

Upstream: src/llama-graph.cpp:build_qkv, build_attn, build_attn_mha; src/llama-kv-cache.cpp:cpy_k, cpy_v, get_k, get_v.
"""

from __future__ import annotations

from omniplan.llamacpp.graph import stored
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.inputs import AttentionInput, CacheInput
from omniplan.llamacpp.graph.linear import product, project
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import (
    F16,
    F32,
    add,
    cast,
    clamp,
    concat,
    cont,
    cont_2d,
    flash_attn_ext,
    mul,
    mul_mat,
    pad,
    scale,
    set_rows,
    soft_max,
    unary,
)
from omniplan.llamacpp.graph.views import is_contiguous, reshape, swap_middle, transpose, view_2d, view_3d, view_4d

Heads = tuple[int, int]


def fused_qkv(b: Builder, il: int, x: Node, *, scale_of: int | None = None) -> Node:
    """Q, K and V of one weight behind each other, biased and clamped."""
    result = project(b, il, "attn_qkv", x, scale_of=scale_of)
    biases = [b.layer(il, f"attn_{part}.bias") for part in "qkv"]
    if b.layer(il, "attn_qkv.bias") is None and all(bias is not None for bias in biases):
        q, k, v = (bias for bias in biases if bias is not None)
        result = add(result, concat(concat(q, k, 0), v, 0))
    return clamp(result) if b.number("attention.clamp_kqv") > 0 else result


def split_qkv(b: Builder, x: Node, q: Heads, k: Heads, v: Heads) -> tuple[Node, Node, Node]:
    """Views of Q, K and V that lie behind each other in every row of ``x``."""
    row, offset, parts = x.type.row_size, 0, []
    for size, count in (q, k, v):
        parts.append(view_3d(x, size, count, b.n_tokens, row(size), x.nb[1], row(offset)))
        offset += size * count
    return parts[0], parts[1], parts[2]


def flat_qkv(b: Builder, il: int, x: Node, widths: tuple[int, ...] = ()) -> list[Node]:
    """Q, K and V as rows of ``widths``, by default those of the heads, copied out of a fused weight."""
    if b.layer(il, "attn_qkv.weight") is None:
        return [project(b, il, f"attn_{part}", x) for part in "qkv"]
    rows, offset, parts = fused_qkv(b, il, x), 0, []
    for width in widths or tuple(size * count for size, count in heads_of(b, il)):
        parts.append(cont(view_2d(rows, width, b.n_tokens, rows.nb[1], rows.type.row_size(offset))))
        offset += width
    return parts


def qkv_of(b: Builder, il: int, x: Node, *, scale_of: int | None = None) -> tuple[Node, Node, Node]:
    """Q, K and V as [head, n_head, n_tokens] from a fused or three separate weights (``build_qkv``)."""
    heads = heads_of(b, il)
    if b.layer(il, "attn_qkv.weight") is not None:
        return split_qkv(b, fused_qkv(b, il, x, scale_of=scale_of), *heads)
    limited = b.number("attention.clamp_kqv") > 0
    parts = (project(b, il, f"attn_{part}", x, scale_of=scale_of) for part in "qkv")
    q, k, v = (
        reshape(clamp(part) if limited else part, *head, b.n_tokens) for part, head in zip(parts, heads, strict=True)
    )
    return q, k, v


def bare_qkv(b: Builder, il: int, x: Node) -> tuple[Node, Node, Node]:
    """Q, K and V from the weights alone: scales, biases and clamps are not read."""
    heads = heads_of(b, il)
    fused = b.layer(il, "attn_qkv.weight")
    if fused is not None:
        return split_qkv(b, product(fused, x), *heads)
    weights = (b.need(il, f"attn_{part}.weight") for part in "qkv")
    q, k, v = (reshape(product(w, x), *head, b.n_tokens) for w, head in zip(weights, heads, strict=True))
    return q, k, v


def heads_of(b: Builder, il: int) -> tuple[Heads, Heads, Heads]:
    """Size and count of the heads of Q, K and V."""
    h = b.hparams
    k, n_head_kv = h.n_embd_head_k[il], h.n_head_kv[il]
    return (k, h.n_head[il]), (k, n_head_kv), (h.n_embd_head_v[il], n_head_kv)


def cached(
    b: Builder,
    inputs: AttentionInput,
    il: int,
    q: Node,
    k: Node | None,
    v: Node | None,
    *,
    sinks: Node | None = None,
    v_mla: Node | None = None,
    kq_bias: Node | None = None,
    softcap: bool = False,
    out: str = "attn_output",
    out_bias: bool = True,
    cache_il: int | None = None,
    v_width: int = 0,
) -> Node:
    """Attention over the KV cache, K and V stored first, then the output projection ``out`` ("" leaves it out).

    K or V may be None: nothing is stored (layers that share another's cache, ``cache_il``). With K-only caches V is a
    view of K, ``v_width`` wide, and ``v_mla`` decompresses the result.
    """
    cache = inputs.of(b, il)
    q, k, v = _rotated(q, k, v, cache)
    # Sliding caches take K before V, plain ones V before K (so that rope can write into the cache).
    early = (q, k, v) if inputs.sliding is not None else (q, v, k)
    for node in early:
        if node is not None and not (node is v and inputs.keys_only and inputs.sliding is not None):
            b.graph.expand(node)
    _store(b, cache, il, k, v)
    keys = cached_k(b, il if cache_il is None else cache_il)
    if inputs.keys_only:
        width = v_width or (v.ne[0] if v is not None else 0)
        values = view_4d(keys, (width, *keys.ne[1:]), *keys.nb[1:])
    else:
        values = cached_v(b, il if cache_il is None else cache_il)
    result = attend(b, il, q, keys, values, cache.mask, sinks=sinks, v_mla=v_mla, kq_bias=kq_bias, softcap=softcap)
    back = cache.k_rot if inputs.keys_only else cache.v_rot
    if back is not None:
        result = rotated(result, back)
    return project(b, il, out, result, bias=out_bias) if out else result


def uncached(
    b: Builder,
    mask: Node,
    il: int,
    q: Node,
    k: Node,
    v: Node,
    *,
    out: str = "attn_output",
    out_bias: bool = True,
) -> Node:
    """Attention of the batch over itself (``build_attn`` of ``llm_graph_input_attn_no_cache``)."""
    for node in (q, k, v):
        b.graph.expand(node)
    if b.context.build.rules.pads_batches:
        k, v = (pad(x, p2=mask.ne[0] - b.n_tokens) for x in (k, v))
    result = attend(b, il, q, k, v, mask)
    return project(b, il, out, result, bias=out_bias) if out else result


def gated(b: Builder, il: int, x: Node, attended: Node, act: str) -> Node:
    """Attended values times ``act`` of the layer's ``attn_gate`` on ``x``: one factor per head or per element."""
    weight = b.need(il, "attn_gate.weight")
    gate = unary(act, mul_mat(weight, x))
    width, n_head = attended.ne[0], b.hparams.n_head[il]
    if weight.ne[1] != n_head:
        return mul(attended, gate)
    heads = reshape(attended, width // n_head, n_head, b.n_tokens)
    return reshape(mul(heads, reshape(gate, 1, n_head, b.n_tokens)), width, b.n_tokens)


def _rotated(q: Node, k: Node | None, v: Node | None, cache: CacheInput) -> tuple[Node, Node | None, Node | None]:
    if cache.k_rot is not None:
        q, k = rotated(q, cache.k_rot), None if k is None else rotated(k, cache.k_rot)
    if cache.v_rot is not None and v is not None:
        v = rotated(v, cache.v_rot)
    return q, k, v


def rotated(x: Node, rotation: Node) -> Node:
    """``x`` in blocks times a Hadamard matrix (src/llama-impl.h:llama_mul_mat_hadamard)."""
    size = rotation.ne[0]
    rows = x.ne[0] * x.ne[1] * x.ne[2] * x.ne[3] // size
    flat = reshape(x, size, rows) if is_contiguous(x) else cont_2d(x, size, rows)
    return reshape(mul_mat(rotation, flat), *x.ne)


def _store(b: Builder, cache: CacheInput, il: int, k: Node | None, v: Node | None) -> None:
    if not b.context.build.rules.indexes_caches:
        stored.copy(b, il, k, v if cache.v_idxs is not None else None)
        return
    if k is not None:
        b.graph.expand(store_rows(b.cache("k", il), k, cache.k_idxs))
    if v is not None and cache.v_idxs is not None:
        store = stored.transposed if b.context.v_transposed else store_rows
        b.graph.expand(store(b.cache("v", il), v, cache.v_idxs))


def store_rows(cache: Node, x: Node, ids: Node) -> Node:
    """Rows of ``x`` [head, n_head, n_tokens] written into ``cache``, all streams merged (``cpy_k``)."""
    rows = view_2d(x, x.ne[0] * x.ne[1], x.ne[2], x.nb[2])
    if cache.ne[2] > 1:
        cache = reshape(cache, cache.ne[0], cache.ne[1] * cache.ne[2])
    return set_rows(cache, rows, ids)


def cached_k(b: Builder, il: int) -> Node:
    """All cells of layer ``il``'s K: [head, n_head_kv, n_kv, n_stream] (``get_k``)."""
    h, k = b.hparams, b.cache("k", il)
    return cache_view(k, h.n_embd_head_k[il], h.n_head_kv[il])


def cache_view(cache: Node, head: int, n_head: int) -> Node:
    """A cache of rows as [head, n_head, n_kv, n_stream]."""
    row, width = cache.type.row_size, cache.ne[0]
    n_kv, n_stream = cache.ne[1], cache.ne[2]
    return view_4d(cache, (head, n_head, n_kv, n_stream), row(head), row(width), row(width * n_kv))


def cached_v(b: Builder, il: int) -> Node:
    """All cells of layer ``il``'s V, as they lie in the cache (``get_v``)."""
    h, v = b.hparams, b.cache("v", il)
    head, n_head = h.n_embd_head_v[il], h.n_head_kv[il]
    if not b.context.v_transposed:
        return cache_view(v, head, n_head)
    row, n_kv, n_stream = v.type.row_size, v.ne[1], v.ne[2]
    return view_4d(v, (n_kv, n_head, head, n_stream), row(n_kv * head), row(n_kv), row(n_kv * v.ne[0]))


def attend(
    b: Builder,
    il: int,
    q: Node,
    k: Node,
    v: Node,
    mask: Node | None,
    *,
    sinks: Node | None = None,
    v_mla: Node | None = None,
    kq_bias: Node | None = None,
    softcap: bool = False,
) -> Node:
    """Soft-max attention, [n_embd, n_tokens] (``build_attn_mha``); ``softcap`` bounds the scores."""
    n_stream, n = k.ne[3], q.ne[2] // k.ne[3]
    is_transposed = v.nb[1] > v.nb[2]
    q = view_4d(q, (q.ne[0], q.ne[1], n, n_stream), q.nb[1], q.nb[2], q.nb[2] * n)
    q, k, v = swap_middle(q), swap_middle(k), swap_middle(v)
    if b.context.flash_attn and kq_bias is None:
        result = _flash(il, q, k, transpose(v) if is_transposed else v, mask, sinks, v_mla)
    else:
        values = v if is_transposed else cont(transpose(v))
        result = _plain(q, k, values, mask, sinks, v_mla, kq_bias, softcap)
        if not b.context.offload_kqv:
            b.graph.on_cpu.append(result)
    b.graph.expand(result)
    return result


def _flash(il: int, q: Node, k: Node, v: Node, mask: Node | None, sinks: Node | None, v_mla: Node | None) -> Node:
    k, v = (cast(x, F16) if x.type is F32 else x for x in (k, v))
    result = flash_attn_ext(q, k, v, mask, sinks)
    result.il = il
    if v_mla is not None:
        result = cont(swap_middle(mul_mat(v_mla, swap_middle(result))))
    ne = result.ne
    return reshape(result, ne[0] * ne[1], ne[2] * ne[3])


def _plain(
    q: Node,
    k: Node,
    v: Node,
    mask: Node | None,
    sinks: Node | None,
    v_mla: Node | None,
    kq_bias: Node | None,
    softcap: bool,
) -> Node:
    scores = mul_mat(k, q)
    if softcap:
        # grok folds its first factor into the same multiplication.
        scores = scale(unary("TANH", scale(scores)))
    if kq_bias is not None:
        scores = add(scores, kq_bias)
    result = mul_mat(v, soft_max(scores, mask, sinks))
    if v_mla is not None:
        result = mul_mat(v_mla, result)
    ne = (result := swap_middle(result)).ne
    return cont_2d(result, ne[0] * ne[1], ne[2] * ne[3])

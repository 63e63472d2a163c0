"""Hyper-connections: several residual streams, mixed into one before a block and spread again after it.

Upstream: src/models/hy-v4.cpp, src/models/deepseek4.cpp and src/models/glm5-next.cpp: build_hc_pre, build_hc_sinkhorn,
build_hc_post, build_hc_head.
"""

from __future__ import annotations

from dataclasses import dataclass

from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.kernels import dsv4_hc_comb, dsv4_hc_post, dsv4_hc_pre
from omniplan.llamacpp.graph.node import Node, strides
from omniplan.llamacpp.graph.ops import (
    F32,
    add,
    concat,
    cont,
    div,
    fill,
    get_rows,
    mul,
    mul_mat,
    repeat,
    rms_norm,
    scale,
    soft_max,
    sum_rows,
    unary,
)
from omniplan.llamacpp.graph.views import permute, reshape, view_1d, view_2d


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixer:
    """The weights of one connection: mixing matrix, scales and offsets of its parts."""

    matrix: Node
    scale: Node
    base: Node


def mixer(b: Builder, il: int, block: str) -> Mixer:
    """The connection of layer ``il`` around "attn" or "ffn"."""
    names = (f"hc_{block}_{part}.weight" for part in ("fn", "scale", "base"))
    matrix, factor, base = (b.need(il, name) for name in names)
    return Mixer(matrix=matrix, scale=factor, base=base)


def head_mixer(b: Builder) -> Mixer:
    """The connection that ends the streams."""
    device = b.hparams.n_layer_all
    matrix, factor, base = (b.need_shared(f"output_hc_{part}.weight", device) for part in ("fn", "scale", "base"))
    return Mixer(matrix=matrix, scale=factor, base=base)


def count(b: Builder) -> int:
    """Residual streams."""
    return b.count("hyper_connection.count")


def streams(b: Builder, x: Node) -> Node:
    """Every stream starts as ``x``: [n_embd, count, n_tokens]."""
    n_embd, n = x.ne[0], x.ne[1]
    return repeat(reshape(x, n_embd, 1, n), (n_embd, count(b), n, 1))


def selected(x: Node, ids: Node) -> Node:
    """The streams of the rows in ``ids`` alone."""
    n_embd, n_stream, n, _ = x.ne
    rows = get_rows(reshape(x, n_embd * n_stream, n), ids)
    return reshape(rows, n_embd, n_stream, ids.ne[0])


def mixes(x: Node, matrix: Node) -> Node:
    """Coefficients of every token, from its normalised streams."""
    n_embd, n_stream, n, _ = x.ne
    return mul_mat(matrix, rms_norm(reshape(x, n_embd * n_stream, n)))


def part(of: Node, mix: Mixer, at: int, which: int, size: int) -> Node:
    """``size`` coefficients from ``at``, scaled by factor ``which`` and offset."""
    size_of = of.type.row_size
    cur = view_2d(of, size, of.ne[1], of.nb[1], size_of(at))
    cur = mul(cur, view_1d(mix.scale, 1, size_of(which)))
    return add(cur, view_1d(mix.base, size, size_of(at)))


def weights_before(of: Node, mix: Mixer, n_stream: int) -> Node:
    """How much of each stream enters the block."""
    return scale(unary("SIGMOID", part(of, mix, 0, 0, n_stream)))


def head_weights(of: Node, mix: Mixer) -> Node:
    """How much of each stream enters the final norm."""
    return scale(unary("SIGMOID", add(mul(of, mix.scale), mix.base)))


def reduced(x: Node, weights: Node) -> Node:
    """The weighted sum of the streams: [n_embd, n_tokens]."""
    n_embd, n_stream, n, _ = x.ne
    total: Node | None = None
    for i in range(n_stream):
        stream = view_2d(x, n_embd, n, x.nb[2], i * x.nb[1])
        term = mul(stream, view_2d(weights, 1, n, weights.nb[1], i * weights.nb[0]))
        total = term if total is None else add(total, term)
    assert total is not None
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How a block's output returns to the streams: its share in each, and how the streams mix."""

    il: int
    share: Node
    comb: Node


def enter(b: Builder, il: int, block: str, x: Node) -> tuple[Node, Spread]:
    """What enters the block, and how its output returns (``build_hc_pre``)."""
    mix, n_stream = mixer(b, il, block), x.ne[1]
    of = mixes(x, mix.matrix)
    weights = weights_before(of, mix, n_stream)
    share = scale(unary("SIGMOID", part(of, mix, n_stream, 1, n_stream)))
    if b.context.fused_hc_pre:
        entered = dsv4_hc_pre(x, weights)
        entered.il = il
    else:
        entered = reduced(x, weights)
    return entered, Spread(il=il, share=share, comb=_combination(b, il, of, mix, n_stream))


def leave(b: Builder, block: Node, residual: Node, spread: Spread) -> Node:
    """The streams after the block: [n_embd, count, n_tokens] (``build_hc_post``)."""
    if b.context.fused_hc_post:
        result = dsv4_hc_post(block, residual, spread.share, spread.comb)
        result.il = spread.il
        return result
    n_embd, n_stream, n, _ = residual.ne
    out: Node | None = None
    for i in range(n_stream):
        share, comb = spread.share, spread.comb
        cur = mul(block, view_2d(share, 1, n, share.nb[1], i * share.nb[0]))
        for j in range(n_stream):
            stream = view_2d(residual, n_embd, n, residual.nb[2], j * residual.nb[1])
            cur = add(cur, mul(stream, view_2d(comb, 1, n, comb.nb[2], i * comb.nb[0] + j * comb.nb[1])))
        cur = reshape(cur, n_embd, 1, n)
        out = cur if out is None else concat(out, cur, 1)
    assert out is not None
    return out


def _combination(b: Builder, il: int, of: Node, mix: Mixer, n_stream: int) -> Node:
    if b.context.fused_hc_comb:
        result = dsv4_hc_comb(of, mix.scale, mix.base, n_stream)
        result.il = il
        return result
    comb = part(of, mix, 2 * n_stream, 2, n_stream * n_stream)
    rounds = b.count("hyper_connection.sinkhorn_iterations")
    return _doubly_stochastic(reshape(comb, n_stream, n_stream, of.ne[1]), rounds)


def _doubly_stochastic(x: Node, rounds: int) -> Node:
    """Rows and columns that sum to one, by turns (``build_hc_sinkhorn``)."""
    epsilon = fill(Node("NONE", F32, (1, 1, 1, 1), strides(F32, (1, 1, 1, 1))))
    x = _columns(add(soft_max(x), epsilon), epsilon)
    for _ in range(1, rounds):
        x = _columns(div(x, add(sum_rows(x), epsilon)), epsilon)
    return x


def _columns(x: Node, epsilon: Node) -> Node:
    sums = add(sum_rows(cont(permute(x, 1, 0, 2, 3))), epsilon)
    return div(x, permute(sums, 1, 0, 2, 3))


def mean(x: Node) -> Node:
    """The mean of the streams (``build_hc_mean``)."""
    n_embd, n_stream, n, _ = x.ne
    total = view_2d(x, n_embd, n, x.nb[2])
    for i in range(1, n_stream):
        total = add(total, view_2d(x, n_embd, n, x.nb[2], i * x.nb[1]))
    return scale(total)

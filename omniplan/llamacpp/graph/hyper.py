"""Hyper-connections: several residual streams, mixed into one before a block and spread again after it.

Upstream: src/models/hy-v4.cpp and src/models/deepseek4.cpp: build_hc_pre, build_hc_post, build_hc_head.
"""

from __future__ import annotations

from dataclasses import dataclass

from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import add, get_rows, mul, mul_mat, repeat, rms_norm, scale, unary
from omniplan.llamacpp.graph.views import reshape, view_1d, view_2d


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
    return int(b.number("hyper_connection.count"))


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

"""Fused ggml operations of recurrent, delta-net, RWKV, indexer and hyper-connection blocks.

Upstream: ggml/src/ggml.c:ggml_ssm_conv, ggml_ssm_scan, ggml_gated_delta_net, ggml_rwkv_wkv6, ggml_rwkv_wkv7,
ggml_gated_linear_attn, ggml_lightning_indexer, ggml_dsv4_hc_*.
"""

from __future__ import annotations

from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import f32, optional


def ssm_conv(x: Node, kernel: Node) -> Node:
    """Causal convolution of ``x`` [d_conv - 1 + n_t, d_inner, n_s]: [d_inner, n_t, n_s]."""
    return f32("SSM_CONV", (kernel.ne[1], x.ne[0] - kernel.ne[0] + 1, x.ne[2], 1), (x, kernel))


def ssm_scan(s: Node, x: Node, dt: Node, a: Node, b: Node, c: Node, ids: Node, snapshots: int = 1) -> Node:
    """Mamba scan: outputs of the size of ``x`` followed by ``snapshots`` states per sequence, one flat row."""
    outputs = x.ne[0] * x.ne[1] * x.ne[2] * x.ne[3]
    states = snapshots * s.ne[0] * s.ne[1] * s.ne[2] * ids.ne[0]
    return f32("SSM_SCAN", (outputs + states, 1, 1, 1), (s, x, dt, a, b, c, ids))


def gated_delta_net(q: Node, k: Node, v: Node, g: Node, beta: Node, state: Node, snapshots: int = 1) -> Node:
    """Delta-rule attention over ``v`` [S, H, T, B]: rows of S * H, outputs first, then the new states."""
    size, heads, n_tokens, n_seqs = v.ne
    rows = n_tokens * n_seqs + snapshots * size * n_seqs
    return f32("GATED_DELTA_NET", (size * heads, rows, 1, 1), (q, k, v, g, beta, state))


def rwkv_wkv6(k: Node, v: Node, r: Node, tf: Node, td: Node, state: Node) -> Node:
    """RWKV-6 mixing: outputs, then the new states."""
    return _wkv("RWKV_WKV6", k, (k, v, r, tf, td, state), state)


def rwkv_wkv7(r: Node, w: Node, k: Node, v: Node, a: Node, b: Node, state: Node) -> Node:
    """RWKV-7 mixing: outputs, then the new states."""
    return _wkv("RWKV_WKV7", k, (r, w, k, v, a, b, state), state)


def gated_linear_attn(k: Node, v: Node, q: Node, g: Node, state: Node) -> Node:
    """Gated linear attention: outputs, then the new states."""
    return _wkv("GATED_LINEAR_ATTN", k, (k, v, q, g, state), state)


def _wkv(op: str, k: Node, src: tuple[Node, ...], state: Node) -> Node:
    size, heads, n_tokens, _ = k.ne
    return f32(op, (size * heads, n_tokens + size * state.ne[1], 1, 1), src)


def lightning_indexer(q: Node, k: Node, weights: Node, mask: Node) -> Node:
    """Scores of every cached position for every token: [n_kv, n_tokens, 1, n_stream]."""
    return f32("LIGHTNING_INDEXER", (k.ne[2], q.ne[2], 1, q.ne[3]), (q, k, weights, mask))


def dsv4_hc_comb(mixes: Node, scale: Node, base: Node, streams: int) -> Node:
    """Hyper-connection mixing matrices, ``streams`` square per token."""
    return f32("DSV4_HC_COMB", (streams, streams, mixes.ne[1], 1), (mixes, scale, base))


def dsv4_hc_pre(x: Node, weights: Node) -> Node:
    """Streams of ``x`` [n_embd, streams, n_tokens] weighted into one."""
    return f32("DSV4_HC_PRE", (x.ne[0], x.ne[2], 1, 1), (x, weights))


def dsv4_hc_post(x: Node, residual: Node, post: Node, comb: Node | None) -> Node:
    """One block output spread back over the residual streams."""
    return f32("DSV4_HC_POST", (x.ne[0], residual.ne[1], x.ne[1], 1), optional(x, residual, post, comb))

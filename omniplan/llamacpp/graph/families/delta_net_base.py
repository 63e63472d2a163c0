"""Gated delta rule: linear attention whose state decays and is corrected by every token.

Q and K are [S, H_k, n_t, n_s], V is [S, H_v, n_t, n_s], the decay is [1, H_v, n_t, n_s] or, per channel (KDA),
[S, H_v, n_t, n_s], beta is [1, H_v, n_t, n_s] and the state [S, S, H_v, n_s]. Upstream: src/models/delta-net-base.cpp;
b11434 always takes its fused kernel (llama-context.cpp: cparams.fused_gdn_ar, fused_gdn_ch).
"""

from __future__ import annotations

from dataclasses import dataclass

from omniplan.llamacpp.graph import recurrent
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.kernels import gated_delta_net
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import rms_norm, scale
from omniplan.llamacpp.graph.views import view_4d


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """The operands of one layer's delta rule."""

    q: Node
    k: Node
    v: Node
    decay: Node
    beta: Node
    state: Node


def unit(x: Node) -> Node:
    """Rows of length one (src/models/models.h:build_gdn_l2_norm)."""
    return scale(rms_norm(x))


def mixed(b: Builder, il: int, x: Delta, *, flat: bool = False) -> Node:
    """Outputs [S, H_v, n_t, n_s]; the new states are stored (``build_recurrent_attn``).

    ``flat``: the stored states are seen as one vector.
    """
    if b.context.n_rs_seq:
        size, heads, n, n_seqs = x.v.ne
        both = _fused(il, x, 1 + b.context.n_rs_seq)
        output = _outputs(both, x)
        recurrent.store_all(b, both, il, both.type.row_size(size * heads * n * n_seqs))
        return output
    output, state = rule(il, x)
    recurrent.store(b, state, "s", il, flat=flat)
    return output


def rule(il: int, x: Delta) -> tuple[Node, Node]:
    """Outputs and new state: two views of the kernel's result (``build_delta_net_fused``)."""
    size, heads, n, n_seqs = x.v.ne
    both = _fused(il, x, 1)
    row = both.type.row_size
    shape = (size, size, heads, n_seqs)
    offset = row(size * heads * n * n_seqs)
    state = view_4d(both, shape, row(size), row(size * size), row(size * size * heads), offset)
    return _outputs(both, x), state


def _fused(il: int, x: Delta, snapshots: int) -> Node:
    both = gated_delta_net(x.q, x.k, x.v, x.decay, x.beta, x.state, snapshots)
    both.il = il
    return both


def _outputs(both: Node, x: Delta) -> Node:
    size, heads, n, _ = x.v.ne
    row = both.type.row_size
    return view_4d(both, x.v.ne, row(size), row(size * heads), row(size * heads * n))

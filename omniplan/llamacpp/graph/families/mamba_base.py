"""Mamba mixers: a short convolution, then a selective scan over the recurrent state (src/models/mamba-base.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import recurrent
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.inputs import RecurrentInput
from omniplan.llamacpp.graph.kernels import ssm_conv, ssm_scan
from omniplan.llamacpp.graph.linear import layer_norm, normed, project
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import add, cont, glu, mul, mul_mat, unary
from omniplan.llamacpp.graph.recurrent import conv_window, states, store
from omniplan.llamacpp.graph.views import reshape, transpose, view_1d, view_3d, view_4d


def mamba(b: Builder, inputs: RecurrentInput, il: int, x: Node) -> Node:
    """Mamba 1 (``build_mamba_layer``): one state per channel, time step and B, C projected from the convolved input."""
    h, n_t, n_s = b.hparams, b.batch.n_seq_tokens, b.batch.n_seqs
    d_inner = h.ssm_d_inner
    both = project(b, il, "ssm_in", reshape(x, x.ne[0], n_t, n_s), bias=False)
    x, z = (view_3d(both, d_inner, n_t, n_s, both.nb[1], both.nb[2], i * d_inner * both.nb[0]) for i in (0, 1))
    window = conv_window(b, inputs, il, transpose(x), flat=True)
    x = unary("SILU", add(ssm_conv(window, b.need(il, "ssm_conv1d.weight")), b.need(il, "ssm_conv1d.bias")))
    dt, keys, queries = _projected(b, il, x)
    heads = reshape(x, 1, d_inner, n_t, n_s)
    y = scan(b, inputs, il, heads, dt, b.need(il, "ssm_a"), keys, queries)
    store_flat(b, il, y, heads)
    y = view_3d(y, d_inner, n_t, n_s, heads.nb[2], heads.nb[3])
    y = add(y, mul(x, b.need(il, "ssm_d")))
    result = project(b, il, "ssm_out", glu("SWIGLU", cont(z), y), bias=False)
    return reshape(result, result.ne[0], b.n_tokens)


def _projected(b: Builder, il: int, x: Node) -> tuple[Node, Node, Node]:
    """Time step of every channel, B and C as [d_state, 1, n_t, n_s], each normalised in some models."""
    h, n_t, n_s = b.hparams, b.batch.n_seq_tokens, b.batch.n_seqs
    rank, size = h.ssm_dt_rank, h.ssm_d_state
    parts = mul_mat(b.need(il, "ssm_x.weight"), x)
    nb = parts.nb
    dt = view_3d(parts, rank, n_t, n_s, nb[1], nb[2])
    keys, queries = (
        view_4d(parts, (size, 1, n_t, n_s), size * nb[0], nb[1], nb[2], nb[0] * (rank + i * size)) for i in (0, 1)
    )
    weights = [b.layer(il, f"ssm_{part}_norm.weight") for part in ("dt", "b", "c")]
    if b.flag("ssm.dt_b_c_rms") or None not in weights:
        dt, keys, queries = (normed("rms", y, w, None, il) for y, w in zip((dt, keys, queries), weights, strict=True))
    else:
        dt = cont(dt)
    return time_step(b, il, dt), keys, queries


def time_step(b: Builder, il: int, low: Node) -> Node:
    """Time steps from their low-rank form."""
    return add(mul_mat(b.need(il, "ssm_dt.weight"), low), b.need(il, "ssm_dt.bias"))


def scan(b: Builder, inputs: RecurrentInput, il: int, x: Node, dt: Node, a: Node, keys: Node, queries: Node) -> Node:
    """Outputs of the scan over ``x`` [head, n_head, n_t, n_s], then the new states."""

    def read(rows: Node, ids: Node) -> Node:
        state = reshape(rows, b.hparams.ssm_d_state, x.ne[0], x.ne[1], rows.ne[1])
        return ssm_scan(state, x, dt, a, keys, queries, ids, 1 + b.context.n_rs_seq)

    return states(b, inputs, "s", il, read)


def store_flat(b: Builder, il: int, y: Node, x: Node) -> None:
    """Write the new states back, which lie behind the outputs for ``x`` in ``y``, as one vector."""
    size = b.hparams.ssm_d_state * b.hparams.ssm_d_inner * b.batch.n_seqs
    store(b, view_1d(y, size, x.ne[0] * x.ne[1] * x.ne[2] * x.ne[3] * y.nb[0]), "s", il, flat=True)


def mamba2(b: Builder, inputs: RecurrentInput, il: int, x: Node) -> Node:
    """Mamba 2: heads that share one decay, groups that share B and C, all projected at once."""
    h, n_t, n_s = b.hparams, b.batch.n_seq_tokens, b.batch.n_seqs
    n_head, d_inner = h.ssm_dt_rank, h.ssm_d_inner
    head, shared = d_inner // n_head, 2 * h.ssm_n_group * h.ssm_d_state
    is_flat = b.context.build.rules.projects_flat
    wide = project(b, il, "ssm_in", x if is_flat else reshape(x, h.n_embd, n_t, n_s), bias=False)
    wide = reshape(wide, wide.ne[0], n_t, n_s) if is_flat else wide
    nb = wide.nb
    z = view_4d(wide, (head, n_head, n_t, n_s), head * nb[0], nb[1], nb[2])
    mixed = view_3d(wide, d_inner + shared, n_t, n_s, nb[1], nb[2], d_inner * nb[0])
    dt = view_3d(wide, n_head, n_t, n_s, nb[1], nb[2], (2 * d_inner + shared) * nb[0])
    window = conv_window(b, inputs, il, transpose(mixed))
    mixed = add(ssm_conv(window, b.need(il, "ssm_conv1d.weight")), b.need(il, "ssm_conv1d.bias"))
    x, keys, queries = _heads(b, unary("SILU", mixed), head)
    dt = add(cont(dt), b.need(il, "ssm_dt.bias"))
    y = scan(b, inputs, il, x, dt, b.need(il, "ssm_a"), keys, queries)
    recurrent.store_all(b, y, il, x.ne[0] * x.ne[1] * x.ne[2] * x.ne[3] * y.nb[0])
    row = x.nb[1]
    y = view_4d(y, (head, n_head, n_t, n_s), row, n_head * row, n_t * n_head * row)
    y = glu("SWIGLU", cont(z), add(y, mul(x, b.need(il, "ssm_d"))))
    if b.layer(il, "ssm_norm.weight") is not None:
        y = layer_norm(b, il, "ssm_norm", reshape(y, d_inner // h.ssm_n_group, h.ssm_n_group, n_t, n_s))
    if is_flat:
        return project(b, il, "ssm_out", reshape(y, d_inner, b.n_tokens), bias=False)
    return reshape(project(b, il, "ssm_out", reshape(y, d_inner, n_t, n_s), bias=False), h.n_embd, b.n_tokens)


def _heads(b: Builder, mixed: Node, head: int) -> tuple[Node, Node, Node]:
    """x, B and C as views of the convolved projection."""
    h, nb, n_t, n_s = b.hparams, mixed.nb, b.batch.n_seq_tokens, b.batch.n_seqs
    size, n_group = h.ssm_d_state, h.ssm_n_group
    x = view_4d(mixed, (head, h.ssm_dt_rank, n_t, n_s), head * nb[0], nb[1], nb[2])
    keys, queries = (
        view_4d(
            mixed,
            (size, n_group, n_t, n_s),
            size * nb[0],
            nb[1],
            nb[2],
            (h.ssm_d_inner + i * n_group * size) * nb[0],
        )
        for i in (0, 1)
    )
    return x, keys, queries

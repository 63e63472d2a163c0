"""Gated delta net, with gated full attention every few layers (src/models/qwen3next.cpp, qwen35.cpp, qwen35moe.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph import recurrent
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.families.delta_net_base import Delta, mixed, unit
from omniplan.llamacpp.graph.kernels import ssm_conv
from omniplan.llamacpp.graph.linear import layer_norm, project, scaled
from omniplan.llamacpp.graph.node import Dims, Node
from omniplan.llamacpp.graph.ops import add, concat, cont, cont_2d, mul, mul_mat, repeat, rope, unary
from omniplan.llamacpp.graph.recipe import Inputs, Recipe
from omniplan.llamacpp.graph.views import reshape, transpose, view_3d, view_4d


def attention(
    b: Builder, _: Recipe, inputs: Inputs, il: int, x: Node, *, grouped: bool = False, bias: bool = True
) -> Node:
    """Full attention whose Q projection also holds a sigmoid gate on the result (``build_layer_attn``).

    ``bias``: those of Q, K and V are read, and the three may be one weight.
    """
    h, n = b.hparams, b.n_tokens
    head, n_head, n_head_kv = h.n_embd_head_k[il], h.n_head[il], h.n_head_kv[il]
    if bias:
        both, k, v = attn.flat_qkv(b, il, x, (2 * head * n_head, h.n_embd_k_gqa(il), h.n_embd_v_gqa(il)))
    else:
        both, k, v = (project(b, il, f"attn_{part}", x, bias=False) for part in "qkv")
    if grouped:
        both = reshape(both, 2 * head, n_head, n)
    row = both.type.row_size
    q, gate = (view_3d(both, head, n_head, n, row(2 * head), row(2 * head * n_head), row(i * head)) for i in (0, 1))
    q = layer_norm(b, il, "attn_q_norm", q)
    k = layer_norm(b, il, "attn_k_norm", reshape(k, head, n_head_kv, n))
    q, k, v = rope(q, inputs.positions), rope(k, inputs.positions), reshape(v, head, n_head_kv, n)
    assert inputs.attention is not None
    result = attn.cached(b, inputs.attention, il, q, k, v, out="")
    result = mul(result, unary("SIGMOID", cont_2d(gate, head * n_head, n)))
    return project(b, il, "attn_output", result, bias=False)


def linear_attention(
    b: Builder, recipe: Recipe, inputs: Inputs, il: int, x: Node, *, grouped: bool = False, act: str = "SILU"
) -> Node:
    """The delta net behind a short convolution, its result normalised and gated (``build_layer_attn_linear``).

    ``grouped``: qwen3next's layout, where the V heads of a K head follow each other and scales are not read.
    ``act``: of the gate; with "SIGMOID" (qwen4exp) the kept columns are copied before they are stored.
    """
    h, (n, n_seqs) = b.hparams, (b.batch.n_seq_tokens, b.batch.n_seqs)
    size, n_k, n_v = h.ssm_d_state, h.ssm_n_group, h.ssm_dt_rank
    head_v = h.ssm_d_inner // n_v
    is_packed = b.layer(il, "attn_qkv.weight") is None
    columns, z = _grouped_qkvz(b, il, x) if is_packed else _qkvz(b, il, x, scale=not grouped)
    beta, decay = _grouped_beta_decay(b, il, x, copied=recipe.beta_copied) if grouped else _beta_decay(b, il, x)
    assert inputs.recurrent is not None
    is_copied, slots = act == "SIGMOID", range(1 + b.context.n_rs_seq)
    # The delta net's own window starts with the oldest state.
    window = recurrent.conv_window(
        b, inputs.recurrent, il, transpose(columns), copied=is_copied, slots=slots if is_copied else reversed(slots)
    )
    state = reshape(recurrent.states(b, inputs.recurrent, "s", il), head_v, head_v, n_v, n_seqs)
    y = unary("SILU", ssm_conv(window, b.need(il, "ssm_conv1d.weight")))
    row = y.type.row_size
    wide = row(2 * size * n_k + head_v * n_v)
    q, k = (unit(view_4d(y, (size, n_k, n, n_seqs), row(size), wide, wide * n, i * row(size * n_k))) for i in (0, 1))
    v = view_4d(y, (head_v, n_v, n, n_seqs), row(head_v), wide, wide * n, row(2 * size * n_k))
    if grouped and n_k != n_v:
        q, k = _interleaved(q, n_v), _interleaved(k, n_v)
    output = mixed(b, il, Delta(q=q, k=k, v=v, decay=decay, beta=beta, state=state))
    gate = unary(act, reshape(z, head_v, n_v, n, n_seqs))
    output = mul(layer_norm(b, il, "ssm_norm", output), gate)
    output = project(b, il, "ssm_out", reshape(output, head_v * n_v, n, n_seqs), scale=not grouped, bias=False)
    return reshape(output, h.n_embd, n * n_seqs)


def _qkvz(b: Builder, il: int, x: Node, *, scale: bool) -> tuple[Node, Node]:
    columns = project(b, il, "attn_qkv", x, scale=scale, bias=False)
    z = project(b, il, "attn_gate", x, scale=scale, bias=False)
    return reshape(columns, columns.ne[0], b.batch.n_seq_tokens, b.batch.n_seqs), z


def _grouped_qkvz(b: Builder, il: int, x: Node) -> tuple[Node, Node]:
    """Early qwen3next files hold Q, K, V and z of each K head together."""
    h, (n, n_seqs) = b.hparams, (b.batch.n_seq_tokens, b.batch.n_seqs)
    size, n_k = h.ssm_d_state, h.ssm_n_group
    per_k = h.ssm_d_inner // h.ssm_dt_rank * h.ssm_dt_rank // n_k
    rows = mul_mat(b.need(il, "ssm_in.weight"), x)
    rows = reshape(rows, 2 * size + 2 * per_k, n_k, n, n_seqs)
    parts, offset = [], 0
    for width in (size, size, per_k, per_k):
        ne: Dims = (width, n_k, n, n_seqs)
        parts.append(view_4d(rows, ne, *rows.nb[1:], offset * rows.nb[0]))
        offset += width
    q, k, v = (cont(part, (part.ne[0] * n_k, n, n_seqs, 1)) for part in parts[:3])
    return concat(concat(q, k, 0), v, 0), cont(parts[3])


def _beta_decay(b: Builder, il: int, x: Node) -> tuple[Node, Node]:
    n_v, n, n_seqs = b.hparams.ssm_dt_rank, b.batch.n_seq_tokens, b.batch.n_seqs
    beta = reshape(project(b, il, "ssm_beta", x, bias=False), 1, n_v, n, n_seqs)
    alpha = reshape(project(b, il, "ssm_alpha", x, bias=False), n_v, n, n_seqs)
    return unary("SIGMOID", beta), _decay(b, il, alpha)


def _grouped_beta_decay(b: Builder, il: int, x: Node, *, copied: bool) -> tuple[Node, Node]:
    h, (n, n_seqs) = b.hparams, (b.batch.n_seq_tokens, b.batch.n_seqs)
    n_v, n_k = h.ssm_dt_rank, h.ssm_n_group
    per_k = n_v // n_k
    both = reshape(scaled(b.need(il, "ssm_ba.weight"), x, None), 2 * per_k, n_k, n, n_seqs)
    beta, alpha = (view_4d(both, (per_k, n_k, n, n_seqs), *both.nb[1:], i * per_k * both.nb[0]) for i in (0, 1))
    beta = reshape(unary("SIGMOID", cont(beta) if copied else beta), 1, n_v, n, n_seqs)
    return beta, _decay(b, il, cont(alpha, (n_v, n, n_seqs, 1)))


def _decay(b: Builder, il: int, alpha: Node) -> Node:
    rate = unary("SOFTPLUS", add(alpha, b.need(il, "ssm_dt.bias")))
    return reshape(mul(rate, b.need(il, "ssm_a")), 1, b.hparams.ssm_dt_rank, b.batch.n_seq_tokens, b.batch.n_seqs)


def _interleaved(x: Node, n_head: int) -> Node:
    """Every head repeated next to itself until there are ``n_head``."""
    size, heads, n, n_seqs = x.ne
    wide = repeat(reshape(x, size, 1, heads, n * n_seqs), (size, n_head // heads, heads, n * n_seqs))
    return reshape(wide, size, n_head, n, n_seqs)


def block(b: Builder, recipe: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
    """Linear or full attention, as the layer is (qwen35)."""
    return (linear_attention if b.hparams.is_recr[il] else attention)(b, recipe, inputs, il, x)


def grouped_block(b: Builder, recipe: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
    """The same in qwen3next's layout."""
    return (linear_attention if b.hparams.is_recr[il] else attention)(b, recipe, inputs, il, x, grouped=True)

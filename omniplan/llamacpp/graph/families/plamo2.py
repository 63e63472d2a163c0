"""PLaMo 2 (src/models/plamo2.cpp)."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.families.mamba_base import scan, store_flat, time_step
from omniplan.llamacpp.graph.inputs import RecurrentInput
from omniplan.llamacpp.graph.kernels import ssm_conv
from omniplan.llamacpp.graph.linear import layer_norm
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import add, cont, glu, mul, mul_mat, rope, unary
from omniplan.llamacpp.graph.recipe import Inputs, Recipe
from omniplan.llamacpp.graph.recurrent import conv_window
from omniplan.llamacpp.graph.views import permute, reshape, transpose, view_3d, view_4d


def _mixer(b: Builder, inputs: RecurrentInput, il: int, x: Node) -> Node:
    """``build_plamo2_mamba_layer``: Mamba 2's heads with Mamba 1's projections; x and z alternate by head."""
    h, n_t, n_s = b.hparams, b.batch.n_seq_tokens, b.batch.n_seqs
    n_head = h.ssm_dt_rank
    head = h.ssm_d_inner // n_head
    both = mul_mat(b.need(il, "ssm_in.weight"), reshape(x, x.ne[0], n_t, n_s))
    both = cont(permute(both, 0, 2, 1, 3), (2 * head, n_head, n_t, n_s))
    z, x = (view_4d(both, (head, n_head, n_t, n_s), *both.nb[1:], i * head * both.nb[0]) for i in (0, 1))
    x = cont(x, (head * n_head, n_t, n_s, 1))
    window = conv_window(b, inputs, il, transpose(x), flat=True)
    x = unary("SILU", ssm_conv(window, b.need(il, "ssm_conv1d.weight")))
    dt, keys, queries = _projected(b, il, x)
    row = head * x.nb[0]
    x = view_4d(x, (head, n_head, n_t, n_s), row, n_head * row, n_t * n_head * row)
    decay, skip = (reshape(b.need(il, name), 1, n_head) for name in ("ssm_a", "ssm_d"))
    y = scan(b, inputs, il, x, dt, decay, keys, queries)
    store_flat(b, il, y, x)
    y = view_4d(y, (head, n_head, n_t, n_s), row, n_head * row, n_t * n_head * row)
    y = glu("SWIGLU", cont(z), add(y, mul(x, skip)))
    y = view_3d(y, head * n_head, n_t, n_s, y.nb[2], y.nb[3])
    result = mul_mat(b.need(il, "ssm_out.weight"), y)
    return reshape(result, result.ne[0], b.n_tokens)


def _projected(b: Builder, il: int, x: Node) -> tuple[Node, Node, Node]:
    h, n_t, n_s = b.hparams, b.batch.n_seq_tokens, b.batch.n_seqs
    size = h.ssm_d_state
    parts = mul_mat(b.need(il, "ssm_x.weight"), x)
    nb = parts.nb
    # dt_dim of load_arch_tensors, which the header does not say.
    rank = max(64, h.n_embd // 16)
    widths = (("b", size, 0), ("c", size, size), ("dt", rank, 2 * size))
    keys, queries, dt = (
        layer_norm(b, il, f"ssm_{part}_norm", view_3d(parts, width, n_t, n_s, nb[1], nb[2], nb[0] * offset))
        for part, width, offset in widths
    )
    keys, queries = (view_4d(y, (size, 1, n_t, n_s), size * y.nb[0], y.nb[1], y.nb[2]) for y in (keys, queries))
    return time_step(b, il, dt), keys, queries


def _attention(b: Builder, _: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
    """Attention whose fused projection is read without its scale."""
    q, k, v = attn.bare_qkv(b, il, x)
    q, k = (rope(layer_norm(b, il, f"attn_{part}_norm", y), inputs.positions) for part, y in (("q", q), ("k", k)))
    assert inputs.attention is not None
    return attn.cached(b, inputs.attention, il, q, k, v, out_bias=False)


RECIPE: Final = Recipe(
    act="SWIGLU",
    post_attn_norm="post_attention_norm",
    post_ffn_norm="post_ffw_norm",
    post_ffn_pin=True,
    attention=decoder.mixing(_mixer, _attention),
)

"""LFM 2, dense or with experts: short convolutions and attention (src/models/lfm2.cpp)."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.inputs import RecurrentInput
from omniplan.llamacpp.graph.kernels import ssm_conv
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import concat, cont, mul, mul_mat, pad
from omniplan.llamacpp.graph.recipe import QkNorm, Recipe
from omniplan.llamacpp.graph.recurrent import conv_window, states, store
from omniplan.llamacpp.graph.views import reshape, transpose, view_3d


def _short_convolution(b: Builder, inputs: RecurrentInput, il: int, x: Node) -> Node:
    """A gated convolution over a few tokens (``build_shortconv_block``)."""
    n_t, n_s, n_embd = b.batch.n_seq_tokens, b.batch.n_seqs, b.hparams.n_embd
    parts = mul_mat(b.need(il, "shortconv.in_proj.weight"), reshape(x, n_embd, n_t, n_s))
    nb = parts.nb
    before, after, x = (view_3d(parts, n_embd, n_t, n_s, nb[1], nb[2], i * n_embd * nb[0]) for i in range(3))
    x = transpose(mul(before, x))
    window = (conv_window if b.hparams.causal_attn else _centred_window)(b, inputs, il, x)
    y = mul(after, ssm_conv(window, b.need(il, "shortconv.conv.weight")))
    y = mul_mat(b.need(il, "shortconv.out_proj.weight"), y)
    return reshape(y, y.ne[0], b.n_tokens)


def _centred_window(b: Builder, inputs: RecurrentInput, il: int, x: Node) -> Node:
    """``x`` with as much padding on both sides, for models that see both ways."""
    n_kept, n_s, n_embd = b.hparams.n_shortconv_l_cache - 1, b.batch.n_seqs, b.hparams.n_embd
    side = n_kept // 2
    kept = reshape(states(b, inputs, "r", il), n_kept, n_embd, n_s)
    left = cont(view_3d(kept, side, n_embd, n_s, kept.nb[1], kept.nb[2], (n_kept - side) * kept.nb[0]))
    window = pad(concat(left, x, 0), side)
    nb = window.nb
    last = view_3d(window, n_kept, n_embd, n_s, nb[1], nb[2], (window.ne[0] - n_kept) * nb[0])
    store(b, last, "r", il)
    return window


RECIPE: Final = Recipe(
    upstream="lfm2.cpp",
    qk_norm=QkNorm.BEFORE,
    residual_first=True,
    out_bias=False,
    output_norm="token_embd_norm",
    attention=decoder.mixing(_short_convolution),
)

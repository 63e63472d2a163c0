"""State-space models and their hybrids with attention, short convolutions included.

Upstream: src/models/mamba.cpp, jamba.cpp, falcon-h1.cpp, granite-hybrid.cpp, nemotron-h.cpp, plamo2.cpp, lfm2.cpp.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph import inputs as inp
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.ffn import ffn
from omniplan.llamacpp.graph.inputs import RecurrentInput
from omniplan.llamacpp.graph.kernels import ssm_conv
from omniplan.llamacpp.graph.linear import layer_norm
from omniplan.llamacpp.graph.mamba import mamba, mamba2, plamo2
from omniplan.llamacpp.graph.moe import Moe, routed, shared
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import add, concat, cont, get_rows, mul, mul_mat, pad, rope
from omniplan.llamacpp.graph.recipe import Attention, Inputs, Recipe
from omniplan.llamacpp.graph.recurrent import conv_window, states, store
from omniplan.llamacpp.graph.views import reshape, transpose, view_3d

Mixer = Callable[[Builder, RecurrentInput, int, Node], Node]


def mixing(mixer: Mixer, otherwise: Attention = decoder.attention) -> Attention:
    """``mixer`` in recurrent layers, attention in the others."""

    def block(b: Builder, recipe: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
        if b.hparams.is_recr[il]:
            assert inputs.recurrent is not None
            return mixer(b, inputs.recurrent, il, x)
        return otherwise(b, recipe, inputs, il, x)

    return block


def short_convolution(b: Builder, inputs: RecurrentInput, il: int, x: Node) -> Node:
    """A gated convolution over a few tokens (``build_shortconv_block`` of lfm2)."""
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


def plamo2_attention(b: Builder, _: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
    """Attention whose fused projection is read without its scale."""
    q, k, v = attn.bare_qkv(b, il, x)
    q, k = (rope(layer_norm(b, il, f"attn_{part}_norm", y), inputs.positions) for part, y in (("q", q), ("k", k)))
    assert inputs.attention is not None
    return attn.cached(b, inputs.attention, il, q, k, v, out_bias=False)


def granite_hybrid(b: Builder) -> None:
    """Granite 4: Mamba 2 layers and a few attention layers, with rotary positions where the header asks for them."""
    rotates = b.flag("rope.scaling.finetuned", default=True)
    recipe = Recipe(
        rope="all" if rotates else "none",
        rope_factors=True,
        residual_scale=True,
        logit_scale=True,
        moe=Moe(shared="plain"),
        attention=mixing(mamba2),
    )
    decoder.build(b, recipe)


_NEMOTRON_MOE: Final = Moe(
    act="RELU_SQR", gating="sigmoid", norm=None, weights_scale=True, scales=True, shared="plain", shared_scale=True
)


def nemotron_block(b: Builder, recipe: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
    """The one block of a Nemotron-H layer: a state-space mixer, attention, or an FFN."""
    h = b.hparams
    if h.is_recr[il] or h.n_ff[il] == 0:
        return mixing(mamba2)(b, recipe, inputs, il, x)
    if b.layer(il, "ffn_gate_inp.weight") is None:
        return ffn(b, il, x, "RELU_SQR", scale=True)
    return _latent_experts(b, il, x)


def _latent_experts(b: Builder, il: int, x: Node) -> Node:
    """Experts that work in a narrower space where the file has its projections."""
    down, up = (b.layer(il, f"ffn_latent_{part}.weight") for part in ("down", "up"))
    logits = mul_mat(b.need(il, "ffn_gate_inp.weight"), x)
    result = routed(b, il, x if down is None else mul_mat(down, x), _NEMOTRON_MOE, logits=logits)
    if up is not None:
        result = mul_mat(up, result)
    return add(result, shared(b, il, x, _NEMOTRON_MOE))


_NEMOTRON_H: Final = Recipe(rope="none", rows="normed", has_ffn=False, attention=nemotron_block)


def falcon_h1(b: Builder) -> None:
    """Falcon-H1: attention and Mamba 2 side by side in every layer, each after a norm of its own."""
    recipe = Recipe(out_bias=False)
    x = decoder.embed(b, recipe)
    inputs = Inputs(
        positions=inp.positions(b), out_ids=inp.output_ids(b), attention=inp.attention(b), recurrent=inp.recurrent(b)
    )
    assert inputs.recurrent is not None
    for il in range(b.hparams.n_layer):
        attended = decoder.attention(b, recipe, inputs, il, layer_norm(b, il, "attn_norm", x))
        mixed = mamba2(b, inputs.recurrent, il, layer_norm(b, il, "attn_norm", x))
        x = add(add(attended, mixed), x)
        if il == b.hparams.n_layer - 1:
            x = get_rows(x, inputs.out_ids)
        x = add(ffn(b, il, layer_norm(b, il, "ffn_norm", x)), x)
    decoder.head(b, recipe, x)


def _lfm2(moe: Moe | None) -> Recipe:
    return Recipe(
        qk_norm="before",
        residual_first=True,
        out_bias=False,
        output_norm="token_embd_norm",
        moe=moe,
        attention=mixing(short_convolution),
    )


FAMILIES: Final[dict[str, Recipe | Callable[[Builder], None]]] = {
    "falcon-h1": falcon_h1,
    "granitehybrid": granite_hybrid,
    "jamba": Recipe(rope="none", residual_first=True, out_bias=False, moe=Moe(norm=False), attention=mixing(mamba)),
    "lfm2": _lfm2(None),
    "lfm2moe": _lfm2(Moe(gating_key=True)),
    "mamba": Recipe(has_ffn=False, attention=mixing(mamba)),
    "mamba2": Recipe(has_ffn=False, attention=mixing(mamba2)),
    "nemotron_h": _NEMOTRON_H,
    "nemotron_h_moe": _NEMOTRON_H,
    "plamo2": Recipe(
        act="SWIGLU",
        post_attn_norm="post_attention_norm",
        post_ffn_norm="post_ffw_norm",
        post_ffn_pin=True,
        attention=mixing(plamo2, plamo2_attention),
    ),
}

"""Nemotron-H, dense or with experts: layers of one block each (src/models/nemotron-h.cpp)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from omniplan.llamacpp.graph import decoder, nextn
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.families.mamba_base import mamba2
from omniplan.llamacpp.graph.ffn import ffn
from omniplan.llamacpp.graph.linear import layer_norm
from omniplan.llamacpp.graph.moe import Gating, Moe, Shared, routed, shared
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import add, get_rows, mul_mat
from omniplan.llamacpp.graph.recipe import Inputs, Recipe, Rope, Rows

_MOE: Final = Moe(
    act="RELU_SQR",
    gating=Gating.SIGMOID,
    norm=None,
    weights_scale=True,
    scales=True,
    shared=Shared.PLAIN,
    shared_scale=True,
)


def _block(b: Builder, recipe: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
    """The one block of a layer: a state-space mixer, attention, or an FFN."""
    h = b.hparams
    if h.is_recr[il] or h.n_ff[il] == 0:
        return decoder.mixing(mamba2)(b, recipe, inputs, il, x)
    if b.layer(il, "ffn_gate_inp.weight") is None:
        return ffn(b, il, x, "RELU_SQR", scale=True)
    return _latent_experts(b, il, x)


def _latent_experts(b: Builder, il: int, x: Node) -> Node:
    """Experts that work in a narrower space where the file has its projections."""
    down, up = (b.layer(il, f"ffn_latent_{part}.weight") for part in ("down", "up"))
    logits = mul_mat(b.need(il, "ffn_gate_inp.weight"), x)
    result = routed(b, il, x if down is None else mul_mat(down, x), _MOE, logits=logits)
    if up is not None:
        result = mul_mat(up, result)
    return add(result, shared(b, il, x, _MOE))


def build_nextn(b: Builder) -> None:
    """The nextn layer: attention and experts, behind a norm of its own kind."""
    nextn.build(b, replace(RECIPE, rows=Rows.LAST), block=_nextn_block, norm="layer")


def _nextn_block(b: Builder, recipe: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
    mixed = decoder.attention(b, recipe, inputs, il, layer_norm(b, il, "attn_norm", x))
    x = get_rows(add(mixed, x), inputs.out_ids)
    return add(_latent_experts(b, il, layer_norm(b, il, "post_attention_norm", x)), x)


RECIPE: Final = Recipe(rope=Rope.NONE, rows=Rows.NORMED, has_ffn=False, attention=_block)

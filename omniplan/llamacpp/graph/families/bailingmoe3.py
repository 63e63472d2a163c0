"""Ling and Ring 3: bounded KDA, and latent attention with a gate per head (src/models/bailingmoe3.cpp)."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph import nextn
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.families.deepseek2 import lead_dense_feed
from omniplan.llamacpp.graph.families.kimi_linear import Kda, kda, latent
from omniplan.llamacpp.graph.moe import Moe, Shared
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import cont_2d, mul, mul_mat, unary
from omniplan.llamacpp.graph.recipe import Inputs, Recipe, Rows
from omniplan.llamacpp.graph.views import reshape

_FACTS: Final = Kda(decay="bounded", by_token=True)


def _block(b: Builder, _: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
    if b.hparams.is_recr[il]:
        return kda(b, _FACTS, inputs.recurrent, il, x)
    n_head, width, n = b.hparams.n_head[il], b.hparams.n_embd_head_v_mla, b.n_tokens
    heads = reshape(latent(b, inputs, il, x, inputs.positions), width, n_head, n)
    gate = unary("SIGMOID", reshape(mul_mat(b.need(il, "attn_gate.weight"), x), 1, n_head, n))
    return mul_mat(b.need(il, "attn_output.weight"), cont_2d(mul(heads, gate), width * n_head, n))


def build_nextn(b: Builder) -> None:
    """The nextn layer, which attends."""
    nextn.build(b, RECIPE)


RECIPE: Final = Recipe(
    keys_only=True,
    positions=0,
    attention=_block,
    feed=lead_dense_feed,
    moe=Moe(gating_key=True, norm=None, weights_scale=True, shared=Shared.PLAIN),
    rows=Rows.NORMED,
    output_scale=False,
    output_bias=False,
)

"""KDA with latent attention every few layers (src/models/kimi-linear.cpp, bailingmoe3.cpp)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.families.deepseek import absorbed, compressed, flat_query, lead_dense_feed
from omniplan.llamacpp.graph.families.keyed import mrope_positions
from omniplan.llamacpp.graph.kda import Kda, kda
from omniplan.llamacpp.graph.moe import Moe
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import concat, cont_2d, mul, mul_mat, unary
from omniplan.llamacpp.graph.recipe import Inputs, Recipe
from omniplan.llamacpp.graph.views import reshape


def latent(b: Builder, inputs: Inputs, il: int, x: Node, positions: Node | None, out: str = "") -> Node:
    """Absorbed latent attention, rotated only if there are ``positions``."""
    h = b.hparams
    q = absorbed(b, il, flat_query(b, il, x), positions, h.n_embd_head_k_mla)
    row, key = compressed(b, il, x, positions)
    row = reshape(row, h.n_lora_kv, 1, b.n_tokens)
    assert inputs.attention is not None
    v_mla = b.need(il, "attn_v_b.weight")
    return attn.cached(b, inputs.attention, il, q, concat(row, key, 0), row, v_mla=v_mla, out=out, out_bias=False)


_KIMI: Final = Kda(decay="softplus", flat=True, reshapes=True, fused=True)
_BAILING: Final = Kda(decay="bounded")


def _kimi_block(b: Builder, _: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
    if b.hparams.is_recr[il]:
        return kda(b, _KIMI, inputs.recurrent, il, x)
    return latent(b, inputs, il, x, None, out="attn_output")


def _bailing_block(b: Builder, _: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
    if b.hparams.is_recr[il]:
        return kda(b, _BAILING, inputs.recurrent, il, x)
    n_head, width, n = b.hparams.n_head[il], b.hparams.n_embd_head_v_mla, b.n_tokens
    heads = reshape(latent(b, inputs, il, x, inputs.positions), width, n_head, n)
    gate = unary("SIGMOID", reshape(mul_mat(b.need(il, "attn_gate.weight"), x), 1, n_head, n))
    return mul_mat(b.need(il, "attn_output.weight"), cont_2d(mul(heads, gate), width * n_head, n))


def bailingmoe3(b: Builder) -> None:
    """Ling and Ring 3: bounded KDA, and latent attention with a gate per head."""
    recipe = Recipe(
        keys_only=True,
        positions=mrope_positions(b),
        attention=_bailing_block,
        feed=lead_dense_feed,
        moe=Moe(gating_key=True, norm=None, weights_scale=True, shared="plain"),
        rows="normed",
        output_scale=False,
        output_bias=False,
    )
    decoder.build(b, recipe)


FAMILIES: Final[dict[str, Recipe | Callable[[Builder], None]]] = {
    "bailingmoe3": bailingmoe3,
    "kimi-linear": Recipe(
        norm_first=True,
        keys_only=True,
        attention=_kimi_block,
        feed=lead_dense_feed,
        moe=Moe(gating_key=True, weights_scale=True, shared="plain"),
        output_scale=False,
        output_bias=False,
    ),
}

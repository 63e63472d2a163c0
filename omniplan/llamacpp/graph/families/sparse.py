"""Latent attention that looks at the cells an indexer chose (src/models/deepseek32.cpp, glm-dsa.cpp)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.families.deepseek import absorbed, compressed, lead_dense_feed
from omniplan.llamacpp.graph.indexer import indexed, indexer_input, sparse_mask
from omniplan.llamacpp.graph.inputs import AttentionInput
from omniplan.llamacpp.graph.linear import layer_norm
from omniplan.llamacpp.graph.moe import Moe
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import concat, mul_mat
from omniplan.llamacpp.graph.recipe import Inputs, Recipe
from omniplan.llamacpp.graph.views import reshape

ROUTING: Final = Moe(
    gating="sigmoid",
    gating_key=True,
    norm=None,
    weights_scale=True,
    scales=True,
    shared="plain",
    shared_scale=True,
)


class SparseAttention:
    """Attention of the layers of one graph; a layer without an indexer looks where the last one did."""

    def __init__(self, b: Builder) -> None:
        self._input = indexer_input(b)
        self._chosen: Node | None = None

    def __call__(self, b: Builder, _: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
        """Attention of layer ``il``, projected."""
        h = b.hparams
        latent_q = layer_norm(b, il, "attn_q_a_norm", mul_mat(b.need(il, "attn_q_a.weight"), x))
        if h.is_indexer_full[il]:
            self._chosen = indexed(b, self._input, il, x, latent_q, inputs.positions)
        q = mul_mat(b.need(il, "attn_q_b.weight"), latent_q)
        latent, key = compressed(b, il, x, inputs.positions)
        q = absorbed(b, il, q, inputs.positions, h.n_embd_head_k_mla)
        latent = reshape(latent, h.n_lora_kv, 1, b.n_tokens)
        assert inputs.attention is not None
        assert self._chosen is not None
        shown = replace(inputs.attention.base, mask=sparse_mask(inputs.attention.base.mask, self._chosen))
        k, v_mla = concat(latent, key, 0), b.need(il, "attn_v_b.weight")
        return attn.cached(b, AttentionInput(base=shown), il, q, k, latent, v_mla=v_mla)


def deepseek32(b: Builder) -> None:
    """DeepSeek V3.2 and GLM 5: the latter may share one indexer among several layers."""
    recipe = Recipe(
        keys_only=True,
        ffn_scale=True,
        moe=ROUTING,
        output_scale=False,
        attention=SparseAttention(b),
        feed=lead_dense_feed,
    )
    decoder.build(b, recipe)


FAMILIES: Final[dict[str, Callable[[Builder], None]]] = {
    "deepseek32": deepseek32,
    "glm-dsa": deepseek32,
}

"""Latent attention that looks at the cells an indexer chose (src/models/deepseek32.cpp, glm-dsa.cpp, dots3note.cpp)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph import decoder, nextn
from omniplan.llamacpp.graph import inputs as inp
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.families.deepseek2 import (
    absorbed,
    compressed,
    latent_attention,
    latent_rank,
    lead_dense_feed,
)
from omniplan.llamacpp.graph.indexer import indexed, indexer_input, sparse_mask
from omniplan.llamacpp.graph.inputs import AttentionInput, CacheInput
from omniplan.llamacpp.graph.linear import layer_norm, project
from omniplan.llamacpp.graph.moe import Gating, Moe, Shared
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import concat, mul_mat
from omniplan.llamacpp.graph.recipe import Inputs, Recipe, Rows
from omniplan.llamacpp.graph.views import reshape

ROUTING: Final = Moe(
    gating=Gating.SIGMOID,
    gating_key=True,
    norm=None,
    weights_scale=True,
    scales=True,
    shared=Shared.PLAIN,
    shared_scale=True,
)


class SparseAttention:
    """Attention of the layers of one graph; a layer without an indexer looks where the last one did.

    Sliding layers see their whole window, models without indexers everything. ``rotate``: index queries and keys are.
    ``out_scale``: whether ``attn_output.scale`` is read behind a gate.
    """

    def __init__(self, b: Builder, *, rotate: bool = True, out_scale: bool = True) -> None:
        windows = b.hparams.n_swa > 0
        self._out_scale = out_scale
        self._lid = indexer_input(b, rotate=rotate)
        self._full = inp.cache_input(b, False if windows else None, keys_only=True, rotate=False)
        self._sliding = inp.cache_input(b, True, keys_only=True, rotate=False) if windows else None
        self._chosen: Node | None = None

    def __call__(self, b: Builder, recipe: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
        """Attention of layer ``il``, projected."""
        latent_q = layer_norm(b, il, "attn_q_a_norm", mul_mat(b.need(il, "attn_q_a.weight"), x))
        cache = self._cache(b, inputs, il, x, latent_q)
        q = mul_mat(b.need(il, "attn_q_b.weight"), latent_q)
        latent, key = compressed(b, il, x, inputs.positions)
        q = absorbed(b, il, q, inputs.positions, head_size(b, il))
        latent = reshape(latent, latent_rank(b, il), 1, b.n_tokens)
        result = attn.cached(
            b,
            AttentionInput(base=cache),
            il,
            q,
            concat(latent, key, 0),
            latent,
            sinks=b.layer(il, "attn_sinks.weight") if recipe.sinks else None,
            v_mla=b.need(il, "attn_v_b.weight"),
            out="" if recipe.out_gate else "attn_output",
        )
        if not recipe.out_gate:
            return result
        gated = attn.gated(b, il, x, result, recipe.out_gate)
        return project(b, il, "attn_output", gated, scale=self._out_scale)

    def _cache(self, b: Builder, inputs: Inputs, il: int, x: Node, latent_q: Node) -> CacheInput:
        """The cache of layer ``il`` and what the layer may see of it."""
        h = b.hparams
        if self._sliding is not None and h.is_swa[il]:
            return self._sliding
        if not h.indexer_top_k:
            return self._full
        if h.is_indexer_full[il]:
            self._chosen = indexed(b, self._lid, il, x, latent_q, inputs.positions)
        chosen = b.given(self._chosen, f"an indexer in the layers up to {il}")
        return replace(self._full, mask=sparse_mask(self._full.mask, chosen))


def head_size(b: Builder, il: int) -> int:
    """Elements of one head of Q before it enters the latent space."""
    h = b.hparams
    return b.count("attention.key_length_mla_swa") if h.is_swa[il] else h.n_embd_head_k_mla


# Nextn layers look at every cell.
_NEXTN: Final = Recipe(
    keys_only=True,
    ffn_scale=True,
    moe=ROUTING,
    attention=latent_attention,
    feed=lead_dense_feed,
    rows=Rows.NORMED,
)


def build_nextn(b: Builder) -> None:
    """The nextn layer of DeepSeek V3.2 and GLM 5."""
    nextn.build(b, _NEXTN)


def build(b: Builder, out_gate: str = "") -> None:
    """DeepSeek V3.2, GLM 5 (which may share one indexer among layers), dots 3 (with sliding layers)."""
    recipe = Recipe(
        keys_only=True,
        out_gate=out_gate,
        ffn_scale=True,
        moe=ROUTING,
        output_scale=False,
        attention=SparseAttention(b),
        feed=lead_dense_feed,
    )
    decoder.build(b, recipe)

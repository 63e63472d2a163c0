"""EmbeddingGemma: a decoder's layers over the batch itself, and no logits (src/models/gemma-embedding.cpp)."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph.recipe import Embedding, QkNorm, Recipe

RECIPE: Final = Recipe(
    embedding=Embedding.SCALED_TOKENS,
    qk_norm=QkNorm.BEFORE,
    q_scale=True,
    cache=False,
    post_attn_norm="post_attention_norm",
    post_ffn_norm="post_ffw_norm",
    act="GELU",
    out_bias=False,
    ffn_bias=False,
    logits=False,
)

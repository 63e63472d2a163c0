"""Decoders that differ from llama in facts alone (src/models/NAME.cpp of each)."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph.moe import Moe
from omniplan.llamacpp.graph.recipe import Recipe

_GEMMA2: Final = Recipe(
    embedding="scale",
    act="GELU",
    q_scale=True,
    softcap=True,
    post_attn_norm="post_attention_norm",
    post_ffn_norm="post_ffw_norm",
    logit_softcap=True,
)

FAMILIES: Final[dict[str, Recipe]] = {
    "gemma2": _GEMMA2,
    "gemma3": Recipe(
        embedding="scale_tokens",
        act="GELU",
        qk_norm="before",
        q_scale=True,
        post_attn_norm="post_attention_norm",
        post_ffn_norm="post_ffw_norm",
        logit_softcap=True,
    ),
    "gpt-oss": Recipe(
        sinks=True,
        ffn_norm="post_attention_norm",
        moe=Moe(act="SWIGLU_OAI", gating="softmax_weight", norm=False),
        rows="end",
    ),
    "llama": Recipe(rope_factors=True, ffn_scale=True, moe=Moe(scales=True)),
    "qwen2": Recipe(),
    "qwen3": Recipe(qk_norm="before", ffn_scale=True),
    "qwen3moe": Recipe(qk_norm="before", moe=Moe(scales=True)),
}

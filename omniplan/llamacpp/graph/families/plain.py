"""Decoders that differ from llama in facts alone (src/models/NAME.cpp of each)."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph.moe import KEYED, Moe
from omniplan.llamacpp.graph.recipe import Recipe

# A dense or sigmoid-routed FFN with a shared expert, everything else from the header.

FAMILIES: Final[dict[str, Recipe]] = {
    "arcee": Recipe(rope_factors=True, act="RELU_SQR"),
    "bailingmoe": Recipe(rope_factors=True, moe=Moe(norm=None, weights_scale=True, shared="plain")),
    "bailingmoe2": Recipe(qk_norm="before", moe=KEYED),
    "chatglm": Recipe(act="SWIGLU"),
    "codeshell": Recipe(norm="layer", act="GELU"),
    "deepseek": Recipe(rope_factors=True, moe=Moe(norm=False, weights_scale=True, shared="plain")),
    "dots1": Recipe(qk_norm="before", moe=KEYED),
    "gemma2": Recipe(
        embedding="scale",
        act="GELU",
        q_scale=True,
        softcap=True,
        post_attn_norm="post_attention_norm",
        post_ffn_norm="post_ffw_norm",
        logit_softcap="always",
    ),
    "gemma3": Recipe(
        embedding="scale_tokens",
        act="GELU",
        qk_norm="before",
        q_scale=True,
        post_attn_norm="post_attention_norm",
        post_ffn_norm="post_ffw_norm",
        logit_softcap="header",
    ),
    "gpt-oss": Recipe(
        sinks=True,
        ffn_norm="post_attention_norm",
        moe=Moe(act="SWIGLU_OAI", gating="softmax_weight", norm=False),
        rows="end",
    ),
    "internlm2": Recipe(),
    "jais": Recipe(norm="layer", rope="none"),
    "jais2": Recipe(norm="layer", act="RELU_SQR"),
    "llama": Recipe(rope_factors=True, ffn_scale=True, moe=Moe(scales=True)),
    "maincoder": Recipe(qk_norm="after"),
    "maple": Recipe(qk_norm="before", rope="sliding", moe=Moe()),
    "mellum": Recipe(qk_norm="before", moe=Moe(scales=True)),
    "minimax-m2": Recipe(qk_norm="whole", moe=Moe(gating="sigmoid", gating_key=True)),
    "mistral3": Recipe(rope_factors=True, attn_temp=True, ffn_scale=True, moe=Moe(scales=True)),
    "qwen2": Recipe(),
    "qwen3": Recipe(qk_norm="before", ffn_scale=True),
    "qwen3moe": Recipe(qk_norm="before", moe=Moe(scales=True)),
}

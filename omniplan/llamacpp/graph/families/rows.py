"""More decoders that differ from llama in facts alone, checked branch by branch (src/models/NAME.cpp of each)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from omniplan.llamacpp.graph.moe import KEYED, Moe
from omniplan.llamacpp.graph.recipe import Recipe

_KEYED_SCALED: Final = replace(KEYED, scales=True, shared="always", shared_scale=True)
_PHI3: Final = Recipe(rope_factors=True, q_scale=True, ffn_residual_first=True, act="SWIGLU", moe=Moe())

FAMILIES: Final[dict[str, Recipe]] = {
    "command-r": Recipe(
        norm="layer",
        ffn_norm="",
        qk_norm="before",
        qk_norm_kind="layer",
        parallel="ffn+x+attn",
        logit_scale=True,
    ),
    "cohere2": Recipe(
        norm="layer",
        ffn_norm="",
        rope="sliding",
        rope_factors=True,
        parallel="ffn+x+attn",
        ffn_scale=True,
        logit_scale=True,
    ),
    "ernie4_5": Recipe(out_bias=False),
    "exaone": Recipe(rope_factors=True),
    "exaone-moe": Recipe(qk_norm="before", rope="sliding", rope_factors=True, moe=KEYED),
    "falcon": Recipe(norm="layer", ffn_norm="", parallel="ffn+attn+x", act="GELU"),
    "gemma": Recipe(embedding="scale", q_scale=True, act="GELU"),
    "hunyuan-dense": Recipe(qk_norm="after", rope_factors=True),
    "hunyuan-moe": Recipe(qk_norm="after", rope_factors=True, moe=Moe(shared="plain")),
    "hy_v3": Recipe(qk_norm="before", rope_factors=True, ffn_scale=True, moe=_KEYED_SCALED, rows="normed"),
    "nemotron": Recipe(norm="layer", act="RELU_SQR"),
    "olmo": Recipe(norm="layer"),
    "olmo2": Recipe(
        attn_norm="",
        ffn_norm="",
        qk_norm="whole",
        post_attn_norm="post_attention_norm",
        post_ffn_norm="post_ffw_norm",
    ),
    "olmoe": Recipe(qk_norm="whole", moe=Moe(norm=False)),
    "orion": Recipe(norm="layer"),
    "paddleocr": Recipe(positions=4),
    "pangu-embedded": Recipe(),
    "phi2": Recipe(norm="layer", ffn_norm="", q_scale=True, parallel="attn+ffn+x", act="GELU"),
    "phi3": _PHI3,
    "phimoe": _PHI3,
    "plamo": Recipe(ffn_norm="", parallel="ffn+attn+x"),
    "pockettts": Recipe(norm="layer", act="GELU"),
    "qwen": Recipe(),
    "qwen2moe": Recipe(moe=Moe(norm=False, shared="silu_gated")),
    "qwen2vl": Recipe(positions=4, output_bias=False),
    "seed_oss": Recipe(ffn_norm="post_attention_norm"),
    "smollm3": Recipe(rope="not_last_of_4"),
    "starcoder2": Recipe(norm="layer", act="GELU"),
    "xverse": Recipe(),
}

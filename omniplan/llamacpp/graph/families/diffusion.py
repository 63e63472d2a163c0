"""Diffusion language models: every token of the batch attends to every other, and there is no KV cache."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph.moe import Moe
from omniplan.llamacpp.graph.recipe import Recipe

FAMILIES: Final[dict[str, Recipe]] = {
    "dream": Recipe(cache=False, output_bias=False),
    "llada": Recipe(cache=False, out_bias=False, ffn_bias=False),
    "llada-moe": Recipe(cache=False, qk_norm="before", moe=Moe(norm=False)),
    "rnd1": Recipe(cache=False, qk_norm="before", moe=Moe()),
}

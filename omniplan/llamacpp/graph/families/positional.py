"""Decoders without rotary embedding: learned positions or a bias that attention adds by itself (ALiBi)."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph.recipe import Recipe

_GPT2: Final = Recipe(norm="layer", embedding="positions", rope="none", act="GELU", gate="seq")

FAMILIES: Final[dict[str, Recipe]] = {
    "bloom": Recipe(norm="layer", embedding="norm", rope="none", act="GELU", gate="seq"),
    "gpt2": _GPT2,
    # Query and key norms of mpt cannot run: they reshape views of the fused projection, which ggml refuses.
    "mpt": _GPT2,
    # refact loads experts and biases that its graph does not read.
    "refact": Recipe(rope="none", out_bias=False, ffn_bias=False),
    "starcoder": _GPT2,
}

"""StableLM (src/models/stablelm.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.recipe import QkNorm, Recipe


def build(b: Builder) -> None:
    """The FFN reads the layer's input where it has no norm of its own (2 12B)."""
    is_parallel = b.layer(0, "ffn_norm.weight") is None
    recipe = Recipe(
        norm="layer",
        ffn_norm="" if is_parallel else "ffn_norm",
        qk_norm=QkNorm.BEFORE,
        qk_norm_kind="layer",
        parallel="ffn+(attn+x)" if is_parallel else "",
    )
    decoder.build(b, recipe)

"""EuroBERT: llama's layers over the batch itself, and no logits (src/models/eurobert.cpp)."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph.recipe import Recipe

RECIPE: Final = Recipe(cache=False, out_bias=False, ffn_bias=False, logits=False)

"""GPT-NeoX and Pythia (src/models/gptneox.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.recipe import Recipe


def build(b: Builder) -> None:
    """Attention and FFN in parallel or in sequence, as the header says."""
    parallel = "ffn+x+attn" if b.flag("use_parallel_residual") else ""
    decoder.build(b, Recipe(norm="layer", parallel=parallel, act="GELU"))

"""NeoBERT: packed gates, and no logits (src/models/neo-bert.cpp)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from omniplan.llamacpp.graph.families import eurobert

RECIPE: Final = replace(eurobert.RECIPE, act="SWIGLU", gate="seq", output_norm="enc.output_norm")

"""What llama.cpp itself says a plan takes, beside what the plan says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from omniplan.domain.footprint import BufferSize, GraphSplits


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """llama.cpp's own count of one placement: bytes per buffer type, devices of the layers (output last), splits."""

    layers: tuple[str, ...]
    buffers: Mapping[str, BufferSize]
    graph_splits: GraphSplits
    n_nodes: int
    sched_copies: int
    n_ctx: int
    n_seq_max: int
    n_ubatch: int

"""Qwen3-VL, dense or with experts: what it adds to Qwen 3 (src/models/qwen3vl.cpp, qwen3vlmoe.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.inputs import Deepstack


def deepstack(b: Builder) -> Deepstack | None:
    """Row ``il + 1`` of the vector inputs joins after layer ``il``, that is before the next one."""
    n = b.count("n_deepstack_layers")
    slots = tuple(il if 1 <= il <= n else -1 for il in range(b.hparams.n_layer))
    return Deepstack(n_slots=n, slot_of=slots) if n else None

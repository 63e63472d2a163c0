"""Granite, dense or with experts, and MiniCPM (src/models/granite.cpp, whose graph serves all of them)."""

from __future__ import annotations

from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.inputs import Deepstack


def deepstack(b: Builder) -> Deepstack | None:
    """Row ``deepstack_mapping[il]`` joins before layer ``il``; the first layer reads row 0 anyway."""
    given = b.model.key("deepstack_mapping")
    mapping = tuple(int(value) for value in given) if isinstance(given, tuple) else ()
    n_slots = len({slot for slot in mapping if slot >= 0})
    slots = (mapping + (-1,) * b.hparams.n_layer)[: b.hparams.n_layer]
    return Deepstack(n_slots=n_slots, slot_of=(-1, *slots[1:])) if n_slots else None

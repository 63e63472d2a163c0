"""Granite and MiniCPM: scaled embeddings, block outputs and logits (src/models/granite*.cpp, minicpm.cpp)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.inputs import Deepstack
from omniplan.llamacpp.graph.moe import Moe
from omniplan.llamacpp.graph.recipe import Recipe

_GRANITE: Final = Recipe(rope_factors=True, residual_scale=True, moe=Moe(shared="plain"), logit_scale="always")


def granite(b: Builder) -> None:
    """Granite; ``rope.scaling.finetuned`` switches rotary positions off."""
    rope = "all" if b.flag("rope.scaling.finetuned", default=True) else "none"
    decoder.build(b, replace(_GRANITE, rope=rope, deepstack=_deepstack(b)))


def granite_swa(b: Builder) -> None:
    """Granite with sliding layers, attention sinks and a choice of layers with rotary positions."""
    pattern = b.model.key("attention.rope_pattern")
    given = tuple(bool(value) for value in pattern) if isinstance(pattern, tuple) else ()
    recipe = replace(
        _GRANITE,
        rope=(given + (True,) * b.hparams.n_layer)[: b.hparams.n_layer],
        sinks=True,
        moe=Moe(shared="plain", act_shared="SWIGLU"),
        deepstack=_deepstack(b),
    )
    decoder.build(b, recipe)


def _deepstack(b: Builder) -> Deepstack | None:
    """Row ``deepstack_mapping[il]`` joins before layer ``il``; the first layer reads row 0 anyway."""
    given = b.model.key("deepstack_mapping")
    mapping = tuple(int(value) for value in given) if isinstance(given, tuple) else ()
    n_slots = len({slot for slot in mapping if slot >= 0})
    slots = (mapping + (-1,) * b.hparams.n_layer)[: b.hparams.n_layer]
    return Deepstack(n_slots=n_slots, slot_of=(-1, *slots[1:])) if n_slots else None


FAMILIES: Final[dict[str, Recipe | Callable[[Builder], None]]] = {
    "granite": granite,
    "granite_swa": granite_swa,
    "granitemoe": _GRANITE,
    "minicpm": replace(_GRANITE, moe=Moe(), defaults={"embedding_scale": 12.0, "residual_scale": 1.4}),
}

"""Command A with experts (src/models/cohere2moe.cpp)."""

from __future__ import annotations

from dataclasses import replace

from omniplan.llamacpp.graph import decoder, nextn
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.moe import KEYED
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import scale
from omniplan.llamacpp.graph.recipe import Recipe, Rope, Rows, When


def build(b: Builder, *, rows: str = "normed") -> None:
    """Command A with experts: sliding layers and the dense lead have rotary positions. ``rows`` as in ``Rows``."""
    decoder.build(b, replace(_recipe(b), rows=Rows(rows)))


def build_nextn(b: Builder) -> None:
    """Its nextn layer, which has rotary positions."""
    nextn.build(b, replace(_recipe(b), rope=Rope.ALL))


def _recipe(b: Builder) -> Recipe:
    return Recipe(
        norm="rms" if b.number("attention.layer_norm_rms_epsilon") else "layer",
        ffn_norm="",
        rope=Rope.SLIDING_OR_LEAD,
        rope_factors=True,
        parallel="ffn+x+attn",
        ffn_scale=True,
        moe=replace(KEYED, scales=True, shared_scale=True),
        rows=Rows.NORMED,
        logit_scale=When.HEADER,
        output_scale=False,
        feed=_halved_feed,
    )


def _halved_feed(b: Builder, recipe: Recipe, il: int, x: Node) -> Node:
    cur = decoder.feed(b, recipe, il, x)
    is_shared = b.layer(il, "ffn_gate_inp.weight") is not None and b.layer(il, "ffn_up_shexp.weight") is not None
    return scale(cur) if is_shared else cur

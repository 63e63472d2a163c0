"""Nanbeige: blocks that run several times (src/models/nanbeige.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.linear import normed
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.recipe import Inputs, Recipe


def build(b: Builder) -> None:
    """The final norm between two rounds unless the header says otherwise."""
    skip = b.flag("skip_loop_final_norm")

    def looped(b: Builder, recipe: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
        x = decoder.layer(b, recipe, inputs, il, x)
        if skip or (il + 1) % b.n_blocks or il + 1 == b.hparams.n_layer:
            return x
        return normed("rms", x, b.shared("output_norm.weight", b.hparams.n_layer_all), None, il)

    decoder.build(b, Recipe(rope_factors=True, ffn_scale=True), looped)

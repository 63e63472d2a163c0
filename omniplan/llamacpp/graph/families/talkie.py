"""Talkie (src/models/talkie.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.ffn import activate, projected
from omniplan.llamacpp.graph.linear import project
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import add, get_rows, mul
from omniplan.llamacpp.graph.recipe import Embedding, QkNorm, Recipe, When


def build(b: Builder) -> None:
    """Norms without weights, and the embeddings join every layer's output."""
    recipe = Recipe(
        embedding=Embedding.NORMED,
        qk_norm=QkNorm.AFTER,
        out_bias=False,
        feed=_down_scaled,
        logit_scale=When.ALWAYS,
        output_scale=False,
    )
    x = embedded = decoder.embed(b, recipe)
    inputs = decoder.shared_inputs(b, recipe)
    for il in range(b.hparams.n_layer):
        cur = decoder.layer(b, recipe, inputs, il, x)
        skipped = get_rows(embedded, inputs.out_ids) if il == b.hparams.n_layer - 1 else embedded
        x = add(cur, mul(skipped, b.need(il, "layer_output_scale.weight")))
    decoder.head(b, recipe, x)


def _down_scaled(b: Builder, _: Recipe, il: int, x: Node) -> Node:
    up, gate = (project(b, il, f"ffn_{part}", x, scale=False) for part in ("up", "gate"))
    return projected(b, il, activate(b, il, "SILU", gate, up), scale=True)

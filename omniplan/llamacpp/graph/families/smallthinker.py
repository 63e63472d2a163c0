"""SmallThinker (src/models/smallthinker.cpp)."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.linear import layer_norm
from omniplan.llamacpp.graph.moe import Moe, routed
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import add, get_rows, mul_mat
from omniplan.llamacpp.graph.recipe import Inputs, Recipe, Rope

_MOE: Final = Moe(act="RELU", gating_key=True)


def build(b: Builder) -> None:
    """The router reads what enters the layer, before attention."""
    # llama.cpp rotates everywhere when the layers are as many as its step.
    skips_rope = b.hparams.n_swa > 0 and b.hparams.n_layer != 4
    decoder.build(b, Recipe(rope=Rope.NOT_FIRST_OF_4 if skips_rope else Rope.ALL), _layer)


def _layer(b: Builder, recipe: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
    scores = mul_mat(b.need(il, "ffn_gate_inp.weight"), x)
    mixed = decoder.attention(b, recipe, inputs, il, layer_norm(b, il, "attn_norm", x))
    if il == b.hparams.n_layer - 1:
        mixed, x, scores = (get_rows(node, inputs.out_ids) for node in (mixed, x, scores))
    hidden = add(mixed, x)
    return add(routed(b, il, layer_norm(b, il, "ffn_norm", hidden), _MOE, logits=scores), hidden)

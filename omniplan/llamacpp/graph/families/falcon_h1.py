"""Falcon-H1 (src/models/falcon-h1.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph import inputs as inp
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.families.mamba_base import mamba2
from omniplan.llamacpp.graph.ffn import ffn
from omniplan.llamacpp.graph.linear import layer_norm
from omniplan.llamacpp.graph.ops import add, get_rows
from omniplan.llamacpp.graph.recipe import Inputs, Recipe


def build(b: Builder) -> None:
    """Attention and Mamba 2 side by side in every layer, each after a norm of its own."""
    recipe = Recipe(out_bias=False)
    x = decoder.embed(b, recipe)
    inputs = Inputs(
        positions=inp.positions(b), out_ids=inp.output_ids(b), attention=inp.attention(b), recurrent=inp.recurrent(b)
    )
    assert inputs.recurrent is not None
    for il in range(b.hparams.n_layer):
        attended = decoder.attention(b, recipe, inputs, il, layer_norm(b, il, "attn_norm", x))
        mixed = mamba2(b, inputs.recurrent, il, layer_norm(b, il, "attn_norm", x))
        x = add(add(attended, mixed), x)
        if il == b.hparams.n_layer - 1:
            x = get_rows(x, inputs.out_ids)
        x = add(ffn(b, il, layer_norm(b, il, "ffn_norm", x)), x)
    decoder.head(b, recipe, x)

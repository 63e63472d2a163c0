"""PLM (src/models/plm.cpp)."""

from __future__ import annotations

from functools import partial

from omniplan.errors import UnsupportedModel
from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.families.deepseek2 import latent_attention
from omniplan.llamacpp.graph.recipe import Recipe


def build(b: Builder) -> None:
    """Latent attention whose V has the shape that the transposed cache takes and the other does not."""
    if not b.context.v_transposed:
        name = b.context.build.name
        raise UnsupportedModel(
            f"{b.model.header.paths[0]}: llama.cpp {name} aborts on plm with flash attention; pass -fa off"
        )
    recipe = Recipe(act="RELU_SQR", attention=partial(latent_attention, flat_values=True))
    decoder.build(b, recipe)

"""From ``general.architecture`` to a graph: rows of facts for common decoders, a module per truly different graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from omniplan.domain.model import Model
from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.families import (
    deepseek,
    deepseek4,
    diffusion,
    gated,
    glm5_next,
    granite,
    hunyuan4,
    keyed,
    kimi,
    kimi_k3,
    lightning,
    minimax3,
    own_blocks,
    own_layers,
    plain,
    positional,
    qwen4,
    qwen_next,
    rows,
    rwkv,
    sparse,
    state_space,
    uneven,
    unseen,
)
from omniplan.llamacpp.graph.graph import Batch, Graph
from omniplan.llamacpp.graph.recipe import Recipe
from omniplan.llamacpp.load.context import Context

Family = Recipe | Callable[[Builder], None]

FAMILIES: Final[Mapping[str, Family]] = {
    **plain.FAMILIES,
    **rows.FAMILIES,
    **keyed.FAMILIES,
    **granite.FAMILIES,
    **uneven.FAMILIES,
    **unseen.FAMILIES,
    **deepseek.FAMILIES,
    **deepseek4.FAMILIES,
    **positional.FAMILIES,
    **own_layers.FAMILIES,
    **own_blocks.FAMILIES,
    **gated.FAMILIES,
    **diffusion.FAMILIES,
    **qwen_next.FAMILIES,
    **kimi.FAMILIES,
    **lightning.FAMILIES,
    **kimi_k3.FAMILIES,
    **glm5_next.FAMILIES,
    **qwen4.FAMILIES,
    **sparse.FAMILIES,
    **hunyuan4.FAMILIES,
    **minimax3.FAMILIES,
    **state_space.FAMILIES,
    **rwkv.FAMILIES,
}

_GENERAL: Final = "llama"


def is_known(arch: str) -> bool:
    """Whether the graph of ``arch`` follows its own loader; others get the general decoder."""
    return arch in FAMILIES


def build(model: Model, context: Context, batch: Batch) -> Graph:
    """The graph llama.cpp b11434 builds for ``batch``.

    An architecture without a row gets llama's graph, which most decoders resemble; raises UnsupportedModel when the
    file lacks the tensors for that.
    """
    family = FAMILIES.get(model.arch, FAMILIES[_GENERAL])
    b = Builder(model, context, batch)
    if isinstance(family, Recipe):
        decoder.build(b, family)
    else:
        family(b)
    return b.graph

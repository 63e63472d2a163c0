"""From ``general.architecture`` to a graph, by the file of llama.cpp's src/models that builds it.

Who differs from the common decoder in facts alone is a row of ``recipes``, which names its file; the others have a
module with the file's name. Modules that end in ``_base`` are upstream's parts of several models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from functools import cache, partial
from typing import Final

from omniplan.domain.model import Model
from omniplan.errors import TableError
from omniplan.llamacpp.build import Build
from omniplan.llamacpp.graph import decoder, nextn
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.families import (
    arctic,
    bailingmoe3,
    beam,
    bert,
    bitnet,
    cohere2moe,
    deci,
    deepseek2,
    deepseek4,
    deepseek32,
    ernie4_5_moe,
    eurobert,
    falcon_h1,
    gemma3n,
    gemma4,
    gemma_embedding,
    gemma_embedding2,
    glm5_next,
    gptneox,
    grok,
    grovemoe,
    hrm_text,
    hy_v4,
    k2_horizon,
    kimi_k3,
    kimi_linear,
    kolibri1,
    llama4,
    maion_coder,
    mimo2,
    minimax_01,
    minimax_m3,
    modern_bert,
    muse_spark,
    nanbeige,
    nemotron_h,
    neo_bert,
    openelm,
    plamo2,
    plm,
    qwen4exp,
    recipes,
    rwkv6,
    rwkv6qwen2,
    smallthinker,
    stablelm,
    talkie,
)
from omniplan.llamacpp.graph.graph import Batch, Graph
from omniplan.llamacpp.graph.pooling import pool
from omniplan.llamacpp.graph.recipe import Recipe, Rows
from omniplan.llamacpp.load.context import Context

Family = Recipe | Callable[[Builder], None]

FAMILIES: Final[Mapping[str, Family]] = {
    **recipes.ROWS,
    "arctic": arctic.build,
    "arwkv7": rwkv6qwen2.arwkv7,
    "bailingmoe3": bailingmoe3.RECIPE,
    "beam": beam.build,
    "bert": partial(bert.build, learned_positions=True),
    "bitnet": bitnet.RECIPE,
    "cohere2moe": cohere2moe.build,
    "deci": deci.build,
    "deepseek2": deepseek2.build,
    "deepseek32": deepseek32.build,
    "deepseek4": deepseek4.build,
    "dots3note": partial(deepseek32.build, out_gate="SIGMOID"),
    "ernie4_5-moe": ernie4_5_moe.RECIPE,
    "eurobert": eurobert.RECIPE,
    "falcon-h1": falcon_h1.build,
    "gemma-embedding": gemma_embedding.RECIPE,
    "gemma-embedding2": gemma_embedding2.build,
    "gemma3n": gemma3n.build,
    "gemma4": gemma4.build,
    "glm-dsa": deepseek32.build,
    "glm5-next": glm5_next.build,
    "gptneox": gptneox.build,
    "grok": grok.build,
    "grovemoe": grovemoe.RECIPE,
    "hrm_text": hrm_text.build,
    "hy_v4": hy_v4.build,
    "jina-bert-v2": bert.build,
    "jina-bert-v3": partial(bert.build, rotary=True),
    "k2-horizon": k2_horizon.build,
    "kimi-k3": kimi_k3.build,
    "kimi-linear": kimi_linear.RECIPE,
    "kolibri1": kolibri1.RECIPE,
    "llama4": llama4.build,
    "maion-coder": maion_coder.RECIPE,
    "mimo2": mimo2.RECIPE,
    "minimax-01": minimax_01.build,
    "minimax-m3": minimax_m3.build,
    "mistral4": partial(deepseek2.build, precise=True),
    "modern-bert": modern_bert.build,
    "muse-spark": muse_spark.build,
    "nanbeige": nanbeige.build,
    "nemotron_h": nemotron_h.RECIPE,
    "nemotron_h_moe": nemotron_h.RECIPE,
    "neo-bert": neo_bert.RECIPE,
    "nomic-bert": partial(bert.build, rotary=True, act="SILU", ffn_bias=False),
    "nomic-bert-moe": partial(bert.build, rotary=True),
    "openelm": openelm.build,
    "plamo2": plamo2.RECIPE,
    "plm": plm.build,
    "qwen4exp": qwen4exp.build,
    "rwkv6": rwkv6.rwkv6,
    "rwkv6qwen2": rwkv6qwen2.rwkv6qwen2,
    "rwkv7": rwkv6.rwkv7,
    "smallthinker": smallthinker.build,
    "stablelm": stablelm.build,
    "talkie": talkie.build,
}


def _nextn(arch: str, *, rows: Rows) -> Callable[[Builder], None]:
    """The nextn layer of a recipe, which drops rows without logits at ``rows``."""
    return partial(nextn.build, recipe=replace(recipes.ROWS[arch], norm_first=False, rows=rows))


# Graphs of nextn layers.
MTP: Final[Mapping[str, Callable[[Builder], None]]] = {
    "bailingmoe3": bailingmoe3.build_nextn,
    "cohere2moe": cohere2moe.build_nextn,
    "deepseek2": deepseek2.build_nextn,
    "deepseek32": deepseek32.build_nextn,
    "deepseek4": deepseek4.build_nextn,
    "glm-dsa": deepseek32.build_nextn,
    "glm4moe": _nextn("glm4moe", rows=Rows.NORMED),
    "hy_v3": _nextn("hy_v3", rows=Rows.NORMED),
    "mimo2": mimo2.build_nextn,
    "nemotron_h_moe": nemotron_h.build_nextn,
    "qwen35": _nextn("qwen35", rows=Rows.NORMED),
    "qwen35moe": _nextn("qwen35moe", rows=Rows.NORMED),
    "qwen3next": _nextn("qwen3next", rows=Rows.LAST),
    "qwen4exp": qwen4exp.build_nextn,
    "step35": _nextn("step35", rows=Rows.END),
}

_GENERAL: Final = "llama"


def is_known(arch: str, build: Build | None = None) -> bool:
    """Whether the graph of ``arch`` follows its own loader, as ``build`` makes it; others get the general decoder."""
    return arch in FAMILIES and (build is None or bool(build.graphs.get(arch, {}).get("family", arch)))


def has_mtp(arch: str) -> bool:
    """Whether the graph of the nextn layers of ``arch`` is known."""
    return arch in MTP


def build(model: Model, context: Context, batch: Batch) -> Graph:
    """The graph that the context's build of llama.cpp makes for ``batch``.

    An architecture without a row gets llama's graph, which most decoders resemble; raises UnsupportedModel when the
    file lacks the tensors for that.
    """
    b = Builder(model, context, batch)
    if context.is_mtp:
        MTP[model.arch](b)
        return b.graph
    family = _family(model.arch, context.build)
    if isinstance(family, Recipe):
        decoder.build(b, family)
    else:
        family(b)
    pool(b)
    return b.graph


@cache
def _family(arch: str, build: Build) -> Family:
    """The family of ``arch`` with what ``build`` changes: fields of a recipe, else keywords of its function."""
    facts = dict(build.graphs.get(arch, {}))
    family = FAMILIES.get(str(facts.pop("family", arch)), FAMILIES[_GENERAL])
    if not isinstance(family, Recipe):
        return partial(family, **facts) if facts else family
    try:
        return replace(family, **{name: _value(family, name, fact) for name, fact in facts.items()})  # type: ignore[arg-type]
    except (AttributeError, ValueError) as error:
        raise TableError(f"builds.toml: {build.number}.graphs.{arch}: {error}") from error


def _value(recipe: Recipe, name: str, fact: object) -> object:
    """A fact of the table as the recipe holds it; labels are members of their enum."""
    kind = type(getattr(recipe, name))
    return kind(str(fact)) if issubclass(kind, StrEnum) else fact

"""Which builder makes the graph of a projector: the names in the column ``graph`` of ``data/projectors.toml``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from omniplan.llamacpp.build import Build
from omniplan.llamacpp.graph.graph import Graph
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.projector.clip_graph import ClipGraph
from omniplan.llamacpp.projector.encoder import Encoder
from omniplan.llamacpp.projector.families import (
    gemma4,
    glm4v,
    internvl,
    llama4,
    llava,
    minicpmv,
    moonvit,
    pixtral,
    qwen,
    siglip,
    whisper,
)

Family = Callable[[ClipGraph], Node]

FAMILIES: Final[Mapping[str, Family]] = {
    family.__name__: family
    for family in (
        gemma4.gemma4ua, gemma4.gemma4uv, gemma4.gemma4v,
        glm4v.glm4v,
        internvl.internvl, internvl.nemotron,
        llama4.llama4,
        llava.glm_edge, llava.ldpv2, llava.llava,
        minicpmv.minicpmv,
        moonvit.dots_ocr, moonvit.hunyuanvl, moonvit.kimik25, moonvit.kimivl, moonvit.paddleocr,
        pixtral.pixtral,
        qwen.qwen2vl, qwen.qwen3vl,
        siglip.gemma3, siglip.idefics3, siglip.janus_pro, siglip.lfm2, siglip.phi4,
        whisper.glma, whisper.meralion, whisper.musicflamingo, whisper.qwen2a, whisper.ultravox, whisper.voxtral,
    )
}  # fmt: skip


def build(encoder: Encoder, build: Build, *, flash_attn: bool) -> Graph:
    """The graph of ``encoder``, which has to have a family, as a build of llama.cpp makes it."""
    clip = ClipGraph(encoder, flash_attn=flash_attn, half_masks=build.half_masks)
    clip.graph.expand(FAMILIES[encoder.kind.graph](clip))
    return clip.graph

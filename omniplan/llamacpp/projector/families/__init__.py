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
    conformer,
    convnext,
    gemma4,
    glm4v,
    internvl,
    lfm2a,
    llama4,
    llava,
    mimo_audio,
    mimovl,
    minicpmv,
    mobilenet,
    moonvit,
    parakeet,
    pixtral,
    qformer,
    qwen,
    sam,
    siglip,
    sound,
    sparse,
    speakers,
    whisper,
)

Family = Callable[[ClipGraph], Node]

FAMILIES: Final[Mapping[str, Family]] = {
    family.__name__: family
    for family in (
        conformer.gemma4a,
        convnext.yasa2,
        gemma4.gemma4ua, gemma4.gemma4uv, gemma4.gemma4v,
        glm4v.glm4v,
        internvl.internvl, internvl.nemotron,
        lfm2a.lfm2a,
        llama4.cogvlm, llama4.llama4,
        llava.glm_edge, llava.ldp, llava.ldpv2, llava.llava,
        mimo_audio.mimo_audio,
        mimovl.mimovl,
        minicpmv.minicpmv, minicpmv.minicpmv4_6,
        mobilenet.gemma3nv,
        moonvit.dots_ocr, moonvit.hunyuanvl, moonvit.kimik25, moonvit.kimivl, moonvit.minimax_m3,
        moonvit.paddleocr, moonvit.step3vl,
        parakeet.parakeet,
        pixtral.deepseek4v, pixtral.pixtral,
        qformer.granite4_vision, qformer.granite_speech,
        qwen.exaone4_5, qwen.ling3vl, qwen.qwen2vl, qwen.qwen3vl,
        sam.deepseekocr, sam.deepseekocr2,
        siglip.gemma3, siglip.idefics3, siglip.janus_pro, siglip.lfm2, siglip.phi4,
        sound.dots3note_a, sound.qwen3a,
        sparse.muse_glimmer, sparse.youtuvl,
        speakers.pockettts_spkenc, speakers.qwen3tts_spkenc,
        whisper.glma, whisper.meralion, whisper.musicflamingo, whisper.qwen2a, whisper.ultravox, whisper.voxtral,
    )
}  # fmt: skip


def build(encoder: Encoder, build: Build, *, flash_attn: bool) -> Graph:
    """The graph of ``encoder``, which has to have a family, as a build of llama.cpp makes it.

    Raises UnsupportedModel for tensors that are missing, ArithmeticError where sizes do not go together.
    """
    clip = ClipGraph(encoder, flash_attn=flash_attn, half_masks=build.half_masks)
    clip.graph.expand(FAMILIES[encoder.kind.graph](clip))
    return clip.graph

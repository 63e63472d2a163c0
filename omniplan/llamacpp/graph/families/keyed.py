"""Decoders whose facts depend on the header: parallel residuals, layers with rope, position sections, deepstack rows.

Upstream: src/models/NAME.cpp of each, and src/llama-model.cpp:llama_model_rope_type.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.ffn import ffn
from omniplan.llamacpp.graph.inputs import Deepstack
from omniplan.llamacpp.graph.linear import normed
from omniplan.llamacpp.graph.moe import KEYED, Moe, moe
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import scale
from omniplan.llamacpp.graph.recipe import Inputs, Recipe

_ERNIE: Final = Moe(shared="plain")
# src/models/baichuan.cpp: only the 7B model, known by its depth, has rotary positions; the others use ALiBi.
_BAICHUAN_ROPE_DEPTH: Final = 32


def mrope_positions(b: Builder) -> int:
    """4 positions per token when the header splits the rotary dimensions, else 1 (``use_mrope``)."""
    sections = b.model.key("rope.dimension_sections")
    is_split = isinstance(sections, tuple) and len(sections) > 1 and all(int(s) > 0 for s in sections[:2])
    return 4 if is_split else 1


def baichuan(b: Builder) -> None:
    """Baichuan 7B with rotary positions, 13B without."""
    decoder.build(b, Recipe(rope="all" if b.hparams.n_layer == _BAICHUAN_ROPE_DEPTH else "none"))


def cohere2moe(b: Builder) -> None:
    """Command A with experts: sliding layers and the dense lead have rotary positions."""
    h = b.hparams
    recipe = Recipe(
        norm="rms" if b.number("attention.layer_norm_rms_epsilon") else "layer",
        ffn_norm="",
        rope=tuple(h.is_swa[il] or il < h.n_layer_dense_lead for il in range(h.n_layer)),
        rope_factors=True,
        parallel="ffn+x+attn",
        ffn_scale=True,
        moe=replace(KEYED, scales=True, shared_scale=True),
        rows="normed",
        logit_scale=True,
        output_scale=False,
        feed=_halved_feed,
    )
    decoder.build(b, recipe)


def _halved_feed(b: Builder, recipe: Recipe, il: int, x: Node) -> Node:
    cur = decoder.feed(b, recipe, il, x)
    is_shared = b.layer(il, "ffn_gate_inp.weight") is not None and b.layer(il, "ffn_up_shexp.weight") is not None
    return scale(cur) if is_shared else cur


def ernie_feed(b: Builder, recipe: Recipe, il: int, x: Node) -> Node:
    """Experts in every n-th layer after the dense lead, a dense FFN elsewhere (ERNIE 4.5)."""
    is_routed = (
        il >= b.hparams.n_layer_dense_lead and (il + 1) % max(1, int(b.number("interleave_moe_layer_step"))) == 0
    )
    return moe(b, il, x, _ERNIE) if is_routed else ffn(b, il, x, recipe.act)


def exaone4(b: Builder) -> None:
    """EXAONE 4: where there are sliding layers, they alone have rotary positions."""
    recipe = Recipe(
        attn_norm="",
        ffn_norm="",
        qk_norm="before",
        rope="sliding" if b.hparams.n_swa else "all",
        rope_factors=True,
        post_attn_norm="post_attention_norm",
        post_ffn_norm="post_ffw_norm",
    )
    decoder.build(b, recipe)


def glm4(b: Builder) -> None:
    """GLM 4 and GLM-OCR."""
    recipe = Recipe(
        positions=mrope_positions(b),
        post_attn_norm="post_attention_norm",
        post_ffn_norm="post_ffw_norm",
        post_ffn_pin=True,
        act="SWIGLU",
    )
    decoder.build(b, recipe)


def glm4moe(b: Builder) -> None:
    """GLM 4.5 to 4.7."""
    routing = replace(KEYED, shared="always")
    recipe = Recipe(ffn_norm="post_attention_norm", qk_norm="before", positions=mrope_positions(b), moe=routing)
    decoder.build(b, recipe)


def gptneox(b: Builder) -> None:
    """GPT-NeoX and Pythia: in parallel or in sequence, as the header says."""
    parallel = "ffn+x+attn" if b.flag("use_parallel_residual") else ""
    decoder.build(b, Recipe(norm="layer", parallel=parallel, act="GELU"))


def hunyuan_vl(b: Builder) -> None:
    """Hunyuan with vision."""
    decoder.build(b, Recipe(qk_norm="after", rope_factors=True, positions=mrope_positions(b)))


def nanbeige(b: Builder) -> None:
    """Blocks run several times, the final norm between two rounds unless the header says otherwise."""
    skip = b.flag("skip_loop_final_norm")

    def looped(b: Builder, recipe: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
        x = decoder.layer(b, recipe, inputs, il, x)
        if skip or (il + 1) % b.n_blocks or il + 1 == b.hparams.n_layer:
            return x
        return normed("rms", x, b.shared("output_norm.weight", b.hparams.n_layer_all), None, il)

    decoder.build(b, Recipe(rope_factors=True, ffn_scale=True), looped)


def stablelm(b: Builder) -> None:
    """StableLM; the FFN reads the layer's input where it has no norm of its own (2 12B)."""
    is_parallel = b.layer(0, "ffn_norm.weight") is None
    recipe = Recipe(
        norm="layer",
        ffn_norm="" if is_parallel else "ffn_norm",
        qk_norm="before",
        qk_norm_kind="layer",
        parallel="ffn+(attn+x)" if is_parallel else "",
    )
    decoder.build(b, recipe)


def qwen3vl(b: Builder) -> None:
    """Qwen3-VL and Qwen3-TTS; the latter's smaller output is padded to the vocabulary."""
    recipe = Recipe(qk_norm="before", positions=4, deepstack=_deepstack_after(b), logit_pad=True)
    decoder.build(b, recipe)


def qwen3vlmoe(b: Builder) -> None:
    """Qwen3-VL with experts."""
    decoder.build(b, Recipe(qk_norm="before", positions=4, deepstack=_deepstack_after(b), moe=Moe()))


def _deepstack_after(b: Builder) -> Deepstack | None:
    """Row ``il + 1`` of the vector inputs joins after layer ``il``, that is before the next one."""
    n = int(b.number("n_deepstack_layers"))
    slots = tuple(il if 1 <= il <= n else -1 for il in range(b.hparams.n_layer))
    return Deepstack(n_slots=n, slot_of=slots) if n else None


FAMILIES: Final[dict[str, Recipe | Callable[[Builder], None]]] = {
    "baichuan": baichuan,
    "cohere2moe": cohere2moe,
    "ernie4_5-moe": Recipe(out_bias=False, feed=ernie_feed),
    "exaone4": exaone4,
    "glm4": glm4,
    "glm4moe": glm4moe,
    "gptneox": gptneox,
    "hunyuan_vl": hunyuan_vl,
    "nanbeige": nanbeige,
    "qwen3tts": qwen3vl,
    "qwen3vl": qwen3vl,
    "qwen3vlmoe": qwen3vlmoe,
    "stablelm": stablelm,
}

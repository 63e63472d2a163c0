"""Decoders with a block of their own: another FFN, another projection, another treatment of positions.

Upstream: src/models/NAME.cpp of each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph import inputs as inp
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.ffn import ffn
from omniplan.llamacpp.graph.moe import Moe, moe
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import add, mul, rms_norm, rope, scale
from omniplan.llamacpp.graph.recipe import Inputs, Recipe

_GROK_MOE: Final = Moe(act="GELU")
_LLAMA4_MOE: Final = Moe(gating="sigmoid", norm=False, weight_first=True, selection="logits", shared="plain")
# The only llama4 whose queries and keys are not normalised has this many experts (LLM_TYPE_17B_128E).
_LLAMA4_PLAIN_EXPERTS: Final = 128


def grok(b: Builder) -> None:
    """Grok: experts beside a dense FFN, and factors that old files leave to the loader."""
    has_layer_norm = b.layer(0, "layer_output_norm.weight") is not None
    recipe = Recipe(
        embedding="scale" if b.model.key("embedding_scale") is None else "",
        softcap=True,
        post_attn_norm="attn_output_norm",
        post_ffn_norm="layer_output_norm" if has_layer_norm else "post_ffw_norm",
        post_ffn_pin=True,
        feed=_routed_beside_dense,
        logit_scale="always",
        logit_softcap="header",
    )
    decoder.build(b, recipe)


def _routed_beside_dense(b: Builder, _: Recipe, il: int, x: Node) -> Node:
    experts = moe(b, il, x, _GROK_MOE)
    if b.layer(il, "ffn_up.weight") is None:
        return experts
    return scale(add(ffn(b, il, x, "GELU"), experts))


def llama4(b: Builder) -> None:
    """Llama 4: rotated and normalised heads in chunked layers, tempered queries in the others."""
    temperature = inp.attention_scale(b)
    step = 4 if b.hparams.n_swa else b.hparams.n_layer
    normalises = b.hparams.n_expert != _LLAMA4_PLAIN_EXPERTS

    def attention(b: Builder, _: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
        q, k, v = attn.qkv_of(b, il, x)
        if (il + 1) % step == 0:
            q = mul(q, temperature)
        else:
            factors = b.rope_factors(il)
            q, k = rope(q, inputs.positions, factors), rope(k, inputs.positions, factors)
            if normalises:
                q, k = rms_norm(q), rms_norm(k)
        assert inputs.attention is not None
        return attn.cached(b, inputs.attention, il, q, k, v)

    decoder.build(b, Recipe(attention=attention, moe=_LLAMA4_MOE))


def value_scaled(b: Builder, recipe: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
    """Attention whose output is scaled when the header has a value scale other than one (mimo2)."""
    result = decoder.attention(b, recipe, inputs, il, x)
    return result if b.number("attention.value_scale") in (0.0, 1.0) else scale(result)


FAMILIES: Final[dict[str, Recipe | Callable[[Builder], None]]] = {
    # Reserved for text: images would take the visual experts' weights. Logits are computed for every row.
    "cogvlm": Recipe(qkv=attn.bare_qkv, out_bias=False, rows="all"),
    "dbrx": Recipe(norm="layer", ffn_norm="attn_output_norm", out_bias=False, moe=Moe()),
    "grok": grok,
    "llama4": llama4,
    "mimo2": Recipe(qkv=attn.bare_qkv, sinks=True, out_bias=False, attention=value_scaled, moe=Moe(gating="sigmoid")),
    "plamo3": Recipe(
        qkv=attn.bare_qkv,
        qk_norm="before",
        out_bias=False,
        post_attn_norm="post_attention_norm",
        post_ffn_norm="post_ffw_norm",
        post_ffn_pin=True,
        act="SWIGLU",
    ),
}

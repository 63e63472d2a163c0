"""Llama 4 (src/models/llama4.cpp)."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph import inputs as inp
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.moe import Gating, Moe, Selection, Shared
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import mul, rms_norm, rope
from omniplan.llamacpp.graph.recipe import Inputs, Recipe

_MOE: Final = Moe(gating=Gating.SIGMOID, norm=False, weight_first=True, selection=Selection.LOGITS, shared=Shared.PLAIN)
# The only llama4 whose queries and keys are not normalised has this many experts (LLM_TYPE_17B_128E).
_PLAIN_EXPERTS: Final = 128


def build(b: Builder) -> None:
    """Rotated and normalised heads in chunked layers, tempered queries in the others."""
    temperature = inp.attention_scale(b)
    step = 4 if b.hparams.n_swa else b.hparams.n_layer
    normalises = b.hparams.n_expert != _PLAIN_EXPERTS

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

    decoder.build(b, Recipe(attention=attention, moe=_MOE))

"""Muse Spark: learned weights of every block and its residual, experts in a narrower space (muse-spark.cpp).

Read off the graphs that llama.cpp b11739 builds; its source was not at hand.
"""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.linear import layer_norm, product, project
from omniplan.llamacpp.graph.moe import Gating, Moe, routed
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import add, get_rows, mul, rms_norm, rope
from omniplan.llamacpp.graph.recipe import Inputs, Recipe, When
from omniplan.llamacpp.graph.views import reshape

_MOE: Final = Moe(gating=Gating.SIGMOID, norm=None, weights_scale=True)
_RECIPE: Final = Recipe(logit_scale=When.ALWAYS, logit_softcap=When.ALWAYS, output_bias=False)


def build(b: Builder) -> None:
    """The whole decoder, of normalised embeddings."""
    x = rms_norm(decoder.embed(b, _RECIPE))
    inputs = decoder.shared_inputs(b, _RECIPE)
    for il in range(b.hparams.n_layer):
        mixed = rms_norm(_attention(b, inputs, il, layer_norm(b, il, "attn_norm", x)))
        if il == b.last_layer:
            x, mixed = get_rows(x, inputs.out_ids), get_rows(mixed, inputs.out_ids)
        x = _joined(b, il, "attn", x, mixed)
        x = _joined(b, il, "ffn", x, _experts(b, il, layer_norm(b, il, "ffn_norm", x)))
    decoder.head(b, _RECIPE, x)


def _joined(b: Builder, il: int, block: str, x: Node, cur: Node) -> Node:
    """Residual and block, channels of both weighted."""
    return add(mul(x, b.need(il, f"{block}_resid_alpha.weight")), mul(cur, b.need(il, f"{block}_resid_beta.weight")))


def _attention(b: Builder, inputs: Inputs, il: int, x: Node) -> Node:
    assert inputs.attention is not None
    q, k, v = attn.qkv_of(b, il, x)
    q, k = layer_norm(b, il, "attn_q_norm", q), layer_norm(b, il, "attn_k_norm", k)
    if b.hparams.is_swa[il]:
        q, k = rope(q, inputs.positions), rope(k, inputs.positions)
    result = attn.cached(b, inputs.attention, il, q, k, v, out="")
    width, head = result.ne[0], b.hparams.n_embd_head_v[il]
    result = reshape(rms_norm(reshape(result, head, width // head, b.n_tokens)), width, b.n_tokens)
    return project(b, il, "attn_output", attn.gated(b, il, x, result, "SIGMOID"), bias=False)


def _experts(b: Builder, il: int, x: Node) -> Node:
    logits = product(b.need(il, "ffn_gate_inp.weight"), x)
    narrow = layer_norm(b, il, "ffn_pre_exp_norm", product(b.need(il, "ffn_latent_down.weight"), x))
    result = routed(b, il, narrow, _MOE, logits=logits, refine=lambda rows: _weighted(b, il, "ffn_post_exp_norm", rows))
    return _weighted(b, il, "post_ffw_norm", product(b.need(il, "ffn_latent_up.weight"), result))


def _weighted(b: Builder, il: int, stem: str, x: Node) -> Node:
    """A norm whose weight comes before it."""
    return rms_norm(mul(x, b.need(il, f"{stem}.weight")))

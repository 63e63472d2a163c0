"""Decoders whose layers differ from llama's: missing blocks, a second FFN beside the first, two sizes of experts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.ffn import ffn
from omniplan.llamacpp.graph.linear import layer_norm
from omniplan.llamacpp.graph.moe import Moe, moe, routed
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import add, get_rows, mul_mat, scale
from omniplan.llamacpp.graph.recipe import Inputs, Recipe

_ARCTIC: Final = Moe()
_GROVE: Final = Moe(selection="sigmoid")


def arctic(b: Builder) -> None:
    """Snowflake Arctic: a dense FFN after attention, experts on the layer's input (src/models/arctic.cpp)."""
    decoder.build(b, Recipe(out_bias=False), _arctic_layer)


def _arctic_layer(b: Builder, recipe: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
    mixed = decoder.attention(b, recipe, inputs, il, layer_norm(b, il, "attn_norm", x))
    if il == b.hparams.n_layer - 1:
        mixed, x = get_rows(mixed, inputs.out_ids), get_rows(x, inputs.out_ids)
    hidden = add(mixed, x)
    dense = add(ffn(b, il, layer_norm(b, il, "ffn_norm", hidden)), hidden)
    return add(moe(b, il, layer_norm(b, il, "ffn_norm_exps", x), _ARCTIC), dense)


def deci(b: Builder) -> None:
    """Nemotron from Llama by architecture search: layers without attention or FFN (src/models/deci.cpp)."""
    decoder.build(b, Recipe(rope_factors=True), _deci_layer)


def _deci_layer(b: Builder, recipe: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
    h = b.hparams
    if h.n_head[il] == 0:
        mixed = x
    else:
        mixed = layer_norm(b, il, "attn_norm", x)
        if h.n_head_kv[il] == 0:
            mixed = mul_mat(b.need(il, "attn_output.weight"), mixed)
        else:
            mixed = decoder.attention(b, recipe, inputs, il, mixed)
    if h.n_ff[il] == 0:
        # llama.cpp drops what such a layer has computed.
        return x
    if il == h.n_layer - 1:
        mixed, x = get_rows(mixed, inputs.out_ids), get_rows(x, inputs.out_ids)
    hidden = mixed if h.n_head[il] == 0 else add(mixed, x)
    return add(ffn(b, il, layer_norm(b, il, "ffn_norm", hidden)), hidden)


def grove_feed(b: Builder, _: Recipe, il: int, x: Node) -> Node:
    """Experts, then chunk experts that groups of them share, on the first ones' output (src/models/grovemoe.cpp)."""
    logits = mul_mat(b.need(il, "ffn_gate_inp.weight"), x)
    main = routed(b, il, x, _GROVE, logits=logits)
    is_grouped = int(b.number("experts_per_group", 1.0)) > 1
    return add(main, scale(routed(b, il, main, _GROVE, logits=logits, stem="chexps", grouped=is_grouped)))


FAMILIES: Final[dict[str, Recipe | Callable[[Builder], None]]] = {
    "arctic": arctic,
    "deci": deci,
    "grovemoe": Recipe(qk_norm="before", feed=grove_feed),
}

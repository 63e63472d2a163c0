"""The graph that drafts with a model's nextn layer: a token and the hidden state before it, one layer, logits.

Upstream: the ``graph_mtp`` constructors of src/models/*.cpp, which repeat this shape around the layer of their model.
Buffers are reserved for the first nextn layer, whichever of several drafts.
"""

from __future__ import annotations

from collections.abc import Callable

from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.linear import layer_norm, normed, project, scaled
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import F32, I32, concat, get_rows, scale
from omniplan.llamacpp.graph.recipe import Inputs, Recipe, Rows, When

Block = Callable[[Builder, Recipe, Inputs, int, Node], Node]


def build(b: Builder, recipe: Recipe, *, block: Block = decoder.layer, norm: str = "") -> None:
    """Fill ``b.graph``; ``recipe`` is of the nextn layer, ``block`` builds it, ``norm`` is the kind of the last norm.

    Rows without logits are dropped by the layer itself (``Rows.LAST``), after it, or behind the norm.
    """
    il = b.hparams.n_layer
    x = entered(b, recipe, il)
    inputs = decoder.shared_inputs(b, recipe)
    x = block(b, recipe, inputs, il, x)
    if recipe.rows is Rows.END:
        x = get_rows(x, inputs.out_ids)
        b.graph.output(x)
    x = normed(norm or recipe.norm, x, head_norm(b, il), None, -1)
    if recipe.rows is not Rows.END:
        b.graph.output(x)
    if recipe.rows is Rows.NORMED:
        x = get_rows(x, inputs.out_ids)
    unembed(b, il, x, is_scaled=recipe.logit_scale is When.HEADER and b.number("logit_scale") != 0)


def entered(b: Builder, recipe: Recipe, il: int) -> Node:
    """Embedding and hidden state, each normalised, projected into one."""
    hidden = b.input("mtp_h_input", F32, b.hparams.n_embd, b.n_tokens)
    state = layer_norm(b, il, "nextn.hnorm", hidden, recipe.norm)
    token = layer_norm(b, il, "nextn.enorm", looked_up(b, il), recipe.norm)
    return project(b, il, "nextn.eh_proj", concat(token, state, 0), bias=False)


def looked_up(b: Builder, il: int) -> Node:
    """Rows of the layer's own token embeddings, or of the model's."""
    table = b.layer(il, "nextn.embed_tokens.weight") or b.need_shared("token_embd.weight")
    return get_rows(table, b.input("inp_tokens", I32, b.n_tokens))


def head_norm(b: Builder, il: int) -> Node | None:
    """The weight of the norm before the logits: the layer's own, or the model's."""
    own = b.layer(il, "nextn.shared_head_norm.weight") or b.layer(il, "layer_output_norm.weight")
    return own or b.shared("output_norm.weight", b.hparams.n_layer_all)


def unembed(b: Builder, il: int, x: Node, *, is_scaled: bool = False) -> None:
    """Logits by the layer's own head, or the model's."""
    device, own = b.hparams.n_layer_all, b.layer(il, "nextn.shared_head_head.weight")
    if own is None:
        shared = b.shared("output.weight", device) or b.need_shared("token_embd.weight", device)
        logits = scaled(shared, x, b.shared("output.scale", device))
    else:
        logits = scaled(own, x, b.layer(il, "nextn.shared_head_head.scale"))
    logits = scale(logits) if is_scaled else logits
    b.graph.output(logits)
    b.graph.expand(logits)

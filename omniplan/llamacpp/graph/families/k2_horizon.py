"""K2 Horizon: norms over groups of channels, and values of routed experts (src/models/k2-horizon.cpp)."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.linear import normed, product, project
from omniplan.llamacpp.graph.moe import KEYED, Gating, gating, moe, weights_of
from omniplan.llamacpp.graph.node import WEIGHT, Dims, Node, strides
from omniplan.llamacpp.graph.ops import add, cont, get_rows, mul, mul_mat_id, rms_norm, rope, scale, soft_max, unary
from omniplan.llamacpp.graph.recipe import Inputs, Recipe
from omniplan.llamacpp.graph.views import argsort_top_k, reshape, view_3d

_RECIPE: Final = Recipe(moe=KEYED, ffn_bias=False, output_bias=False)


def build(b: Builder) -> None:
    """The whole decoder."""
    x = decoder.embed(b, _RECIPE)
    inputs = decoder.shared_inputs(b, _RECIPE)
    for il in range(b.hparams.n_layer):
        x = _layer(b, inputs, il, x)
    x = _group_norm(b, x, b.need_shared("output_norm.weight", b.hparams.n_layer_all))
    decoder.unembed(b, _RECIPE, x)


def _layer(b: Builder, inputs: Inputs, il: int, x: Node) -> Node:
    mixed = _attention(b, inputs, il, _group_norm(b, x, b.need(il, "attn_norm.weight")))
    if il == b.last_layer:
        mixed, x = get_rows(mixed, inputs.out_ids), get_rows(x, inputs.out_ids)
    hidden = add(mixed, x)
    cur = _group_norm(b, hidden, b.need(il, "ffn_norm.weight"))
    is_routed = b.layer(il, "ffn_gate_inp.weight") is not None
    return add(moe(b, il, cur, KEYED) if is_routed else decoder.feed(b, _RECIPE, il, cur), hidden)


def _group_norm(b: Builder, x: Node, weight: Node) -> Node:
    """Equal slices of every row, each normalised by itself."""
    groups = max(1, b.count("attention.group_norm_groups"))
    width, n = x.ne[0], x.ne[1]
    return mul(reshape(rms_norm(reshape(x, width // groups, groups, n)), width, n), weight)


def _attention(b: Builder, inputs: Inputs, il: int, x: Node) -> Node:
    assert inputs.attention is not None
    q, k = (project(b, il, f"attn_{part}", x, bias=False) for part in "qk")
    is_plain = b.layer(il, "attn_v_exps.weight") is None
    v = project(b, il, "attn_v", x, bias=False) if is_plain else _routed_values(b, il, x)
    q, k, v = (reshape(part, *heads, b.n_tokens) for part, heads in zip((q, k, v), attn.heads_of(b, il), strict=True))
    q, k = rope(_head_norm(b, il, "q", q), inputs.positions), rope(_head_norm(b, il, "k", k), inputs.positions)
    if b.layer(il, "attn_gate.weight") is None:
        return attn.cached(b, inputs.attention, il, q, k, v)
    result = attn.cached(b, inputs.attention, il, q, k, v, out="")
    gate = scale(unary("SOFTPLUS", scale(project(b, il, "attn_gate", x, bias=False))))
    return project(b, il, "attn_output", mul(result, gate))


def _head_norm(b: Builder, il: int, part: str, x: Node) -> Node:
    """A norm with a weight per head; the file has them behind each other."""
    flat = b.layer(il, f"attn_{part}_norm.weight")
    if flat is None:
        return x
    ne: Dims = (x.ne[0], x.ne[1], 1, 1)
    weight = Node("NONE", flat.type, ne, strides(flat.type, ne), name=flat.name, home=WEIGHT, il=flat.il)
    return normed("rms", x, weight, None, il)


def _routed_values(b: Builder, il: int, x: Node) -> Node:
    """The weighted sum of the chosen value experts, a bias in the choice alone (``build_routed_value``)."""
    used, n = b.count("attention.value_expert_used_count"), b.n_tokens
    logits = product(b.need(il, "attn_v_gate.weight"), x)
    probs = soft_max(logits) if gating(b, KEYED) is Gating.SOFTMAX else unary("SIGMOID", logits)
    bias = b.layer(il, "attn_v_gate.bias")
    chosen = argsort_top_k(probs if bias is None else add(probs, bias), used)
    weights = weights_of(b, KEYED, probs, chosen, used)
    experts = mul_mat_id(b.need(il, "attn_v_exps.weight"), reshape(x, x.ne[0], 1, n), chosen)
    experts = mul(unary("SILU", experts), weights)
    width, nb = experts.ne[0], experts.nb
    parts = [view_3d(experts, width, 1, n, nb[1], nb[2], i * nb[1]) for i in range(used)]
    total = parts[0]
    for part in parts[1:]:
        total = add(total, part)
    result = cont(total) if used == 1 else total
    b.graph.expand(result)
    return result

"""Mixture of experts: routing, selected experts, weighting, aggregation (src/llama-graph.cpp:build_moe_ffn)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Final

from omniplan.llamacpp.graph import cached
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.ffn import NO_LIMIT, ffn, limited, situ
from omniplan.llamacpp.graph.linear import product, scaled_id
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import (
    F32,
    I32,
    add,
    add_id,
    cast,
    clamp,
    cont,
    div,
    fill,
    get_rows,
    glu,
    mul,
    repeat,
    scale,
    set_rows,
    soft_max,
    sqr,
    sqrt,
    sum_rows,
    unary,
)
from omniplan.llamacpp.graph.views import argsort_top_k, reshape, view_2d, view_3d


class Gating(StrEnum):
    """What makes probabilities of a router's logits, in the order of ``llama_expert_gating_func_type``, from 1."""

    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"
    SOFTMAX_WEIGHT = "softmax_weight"
    SQRT_SOFTPLUS = "sqrt_softplus"


class Shared(StrEnum):
    """The shared expert: none, added, weighted by its own router, the sigmoid of that spelled silu(r) / r.

    ALWAYS: added even where the file has none; its activation alone remains.
    """

    NONE = "none"
    PLAIN = "plain"
    GATED = "gated"
    SILU_GATED = "silu_gated"
    ALWAYS = "always"


class Selection(StrEnum):
    """What top-k looks at: probabilities (biased when the file has ``exp_probs_b``), logits, or their sigmoid."""

    PROBS = "probs"
    LOGITS = "logits"
    SIGMOID = "sigmoid"


_GATING_BY_ID: Final = dict(enumerate(Gating, 1))
_GATED: Final = {"SILU": "SWIGLU", "GELU": "GEGLU", "RELU": "REGLU", "SWIGLU_OAI": "SWIGLU_OAI"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moe:
    """How an architecture routes.

    gating_key: the header's ``expert_gating_func`` beats ``gating``. norm: weights of the selected experts sum to one;
      None asks ``expert_weights_norm``.
    weights_scale: the loader reads ``expert_weights_scale``, by which weights are then multiplied.
    scales, shared_scale: llama.cpp reads the ``*_exps.scale``, the ``*_shexp.scale`` tensors.
    act_shared: the shared expert's activation when it differs. weight_first: weights multiply the input.
    precise: the down projection keeps its input in full precision, for which CUDA has no kernel.
    """

    act: str = "SILU"
    gating: Gating = Gating.SOFTMAX
    gating_key: bool = False
    norm: bool | None = True
    weights_scale: bool = False
    scales: bool = False
    shared: Shared = Shared.NONE
    shared_scale: bool = False
    act_shared: str = ""
    weight_first: bool = False
    precise: bool = False
    selection: Selection = Selection.PROBS


# Sigmoid routing unless the header names another; its own norm and scale; one shared expert, where the file has it.
KEYED: Final = Moe(gating=Gating.SIGMOID, gating_key=True, norm=None, weights_scale=True, shared=Shared.PLAIN)


def moe(b: Builder, il: int, x: Node, facts: Moe) -> Node:
    """The routed experts of layer ``il`` plus its shared expert, if any."""
    result = routed(b, il, x, facts)
    is_present = facts.shared is not Shared.NONE and b.layer(il, "ffn_up_shexp.weight") is not None
    return add(result, shared(b, il, x, facts)) if is_present or facts.shared is Shared.ALWAYS else result


def shared(b: Builder, il: int, x: Node, facts: Moe) -> Node:
    """The shared expert, weighted by its router when it has one."""
    result = ffn(b, il, x, facts.act_shared or facts.act, suffix="_shexp", scale=facts.shared_scale)
    if facts.shared in (Shared.PLAIN, Shared.ALWAYS):
        return result
    gate = product(b.need(il, "ffn_gate_inp_shexp.weight"), x)
    gate = unary("SIGMOID", gate) if facts.shared is Shared.GATED else div(unary("SILU", gate), gate)
    return mul(result, gate)


def routed(
    b: Builder,
    il: int,
    x: Node,
    facts: Moe,
    *,
    logits: Node | None = None,
    stem: str = "exps",
    grouped: bool = False,
    given: Node | None = None,
    refine: Callable[[Node], Node] = lambda rows: rows,
) -> Node:
    """The selected experts' weighted sum; ``logits`` replaces the layer's own router, ``given`` its choice.

    ``refine`` is what becomes of the experts' rows before they are weighed. ``grouped``: one expert called ``stem``
    serves a group of the selected ones.
    """
    n_embd, n_tokens = x.ne[0], x.ne[1]
    n_used = b.hparams.n_expert_used[il]
    probs, chosen = route(b, il, x, facts, logits)
    chosen = chosen if given is None else given
    if grouped:
        chosen = cast(scale(cast(chosen, F32)), I32)
    weights = weights_of(b, facts, probs, chosen, n_used)
    b.graph.expand(weights)
    cur = reshape(x, n_embd, 1, n_tokens)
    if facts.weight_first:
        cur = mul(repeat(cur, (n_embd, n_used, n_tokens, 1)), weights)
    experts = refine(_experts(b, il, cur, chosen, facts, stem))
    if not facts.weight_first:
        experts = mul(experts, weights)
    return aggregate(b, experts, n_used)


def route(b: Builder, il: int, x: Node, facts: Moe, logits: Node | None = None) -> tuple[Node, Node]:
    """Probabilities [n_expert, n_tokens] and the indices of the chosen experts [n_used, n_tokens]."""
    if logits is None:
        logits = product(b.need(il, "ffn_gate_inp.weight"), x)
        bias = b.layer(il, "ffn_gate_inp.bias")
        logits = logits if bias is None else add(logits, bias)
    probs = _probabilities(b, facts, logits)
    match facts.selection:
        case Selection.PROBS:
            bias = _selection_bias(b, il)
            selection = probs if bias is None else add(probs, bias)
        case Selection.LOGITS:
            selection = logits
        case Selection.SIGMOID:
            selection = unary("SIGMOID", logits)
    groups = b.count("expert_group_count")
    if groups > 1:
        selection = _mask_groups(selection, groups, b.count("expert_group_used_count"))
    return probs, argsort_top_k(selection, b.hparams.n_expert_used[il])


def _selection_bias(b: Builder, il: int) -> Node | None:
    # Some loaders leave ".bias" out of the name (hy_v3).
    return b.layer(il, "exp_probs_b.bias") or b.layer(il, "exp_probs_b")


def gating(b: Builder, facts: Moe) -> Gating:
    """The gating function, from the header where the architecture lets it choose."""
    return _GATING_BY_ID.get(b.count("expert_gating_func"), facts.gating) if facts.gating_key else facts.gating


def _probabilities(b: Builder, facts: Moe, logits: Node) -> Node:
    match gating(b, facts):
        case Gating.SOFTMAX:
            return soft_max(logits)
        case Gating.SIGMOID:
            return unary("SIGMOID", logits)
        case Gating.SQRT_SOFTPLUS:
            return sqrt(unary("SOFTPLUS", logits))
        case _:
            return logits


def _mask_groups(selection: Node, groups: int, used: int) -> Node:
    """Only experts of the ``used`` best groups stay selectable; a group scores by its two best experts."""
    n_expert, n_tokens = selection.ne[0], selection.ne[1]
    size = n_expert // groups
    grouped = reshape(selection, size, groups, n_tokens)
    best = argsort_top_k(grouped, 2)
    scores = get_rows(reshape(grouped, 1, size, groups, n_tokens), best)
    scores = sum_rows(reshape(scores, *scores.ne[1:]))
    chosen = argsort_top_k(reshape(scores, scores.ne[1], scores.ne[2]), used)
    kept = get_rows(grouped, chosen)
    return reshape(set_rows(fill(grouped), kept, chosen), n_expert, n_tokens)


def weights_of(b: Builder, facts: Moe, probs: Node, chosen: Node, n_used: int) -> Node:
    """The chosen experts' weights, [1, n_used, n_tokens]."""
    n_expert, n_tokens = probs.ne[0], probs.ne[1]
    weights = get_rows(reshape(probs, 1, n_expert, n_tokens), chosen)
    if gating(b, facts) is Gating.SOFTMAX_WEIGHT:
        weights = reshape(soft_max(reshape(weights, n_used, n_tokens)), 1, n_used, n_tokens)
    if b.flag("expert_weights_norm") if facts.norm is None else facts.norm:
        weights = reshape(weights, n_used, n_tokens)
        total = clamp(sum_rows(weights))
        weights = reshape(div(weights, total), 1, n_used, n_tokens)
    if facts.weights_scale and b.number("expert_weights_scale") not in (0.0, 1.0):
        weights = scale(weights)
    return weights


def _experts(b: Builder, il: int, x: Node, ids: Node, facts: Moe, stem: str) -> Node:
    """Up, gate, activation, down of the selected experts: [n_embd, n_used, n_tokens]."""
    slots = cached.slots(b, il, ids) if stem == cached.STEM else None
    apply = partial(_expert, b, il, ids=ids, slots=slots, facts=facts, stem=stem)
    fused = b.layer(il, f"ffn_gate_up_{stem}.weight")
    if fused is not None:
        wide = apply("gate_up", x, scale_of="up")
        size = wide.ne[0] // 2
        halves = (view_3d(wide, size, *wide.ne[1:3], *wide.nb[1:3], offset) for offset in (0, size * wide.nb[0]))
        gate, up = halves
        is_gated = True
    else:
        up = apply("up", x)
        is_gated = b.layer(il, f"ffn_gate_{stem}.weight") is not None
        gate = apply("gate", x) if is_gated else up
    cur = _activate(b, il, facts.act, gate, up if is_gated else None, limit=is_gated and fused is None)
    return apply("down", cur)


def _expert(
    b: Builder,
    il: int,
    part: str,
    x: Node,
    *,
    ids: Node,
    slots: Node | None,
    facts: Moe,
    stem: str,
    scale_of: str = "",
) -> Node:
    name = f"ffn_{part}_{stem}"
    factor = b.layer(il, f"ffn_{scale_of or part}_{stem}.scale") if facts.scales else None
    weight = b.need(il, name + ".weight")
    bank = weight if slots is None else cached.bank(b, il, weight)
    result = scaled_id(bank, x, ids, factor, slots=slots)
    if facts.precise and part == "down" and factor is None:
        result.op += ":F32"
    bias = b.layer(il, name + ".bias")
    return result if bias is None else add_id(result, bias, ids)


def _activate(b: Builder, il: int, act: str, gate: Node, up: Node | None, *, limit: bool) -> Node:
    if act == "RELU_SQR":
        return sqr(unary("RELU", gate))
    if up is None:
        return unary(act, gate)
    if act == "SITU":
        return situ(b, gate, up)
    if act == "SILU" and limit and b.number_at("swiglu_clamp_exp", il) > NO_LIMIT:
        return limited(gate, up, fused="moe" in b.row.fused_clamp)
    return glu(_GATED[act], gate, up)


def aggregate(b: Builder, experts: Node, n_used: int) -> Node:
    """The sum over the selected experts, views first so that additions can fuse."""
    n_embd, _, n_tokens, _ = experts.ne
    b.graph.expand(experts)
    parts = [view_2d(experts, n_embd, n_tokens, experts.nb[2], i * experts.nb[1]) for i in range(n_used)]
    for part in parts:
        b.graph.expand(part)
    total = parts[0]
    for part in parts[1:]:
        total = add(total, part)
        b.graph.expand(total)
    return cont(total) if n_used == 1 else total

"""Dense feed-forward networks (src/llama-graph.cpp:build_ffn)."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.linear import product, project
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import add, clamp, div, glu, glu_packed, mul, sqr, unary
from omniplan.llamacpp.graph.ops import scale as scaled

# Activations that fuse with a parallel gate, and those that split one wide projection.
_GATED: Final = {
    "SILU": "SWIGLU",
    "GELU": "GEGLU",
    "RELU": "REGLU",
    "SWIGLU_OAI": "SWIGLU_OAI",
    "SWIGLU_CLAMP": "SWIGLU_CLAMP",
}
_PACKED: Final = frozenset({"SWIGLU", "GEGLU", "REGLU"})
# build_ffn and build_moe_ffn take a clamp of at most this for none.
NO_LIMIT: Final = 1e-6


def ffn(
    b: Builder,
    il: int,
    x: Node,
    act: str = "SILU",
    *,
    suffix: str = "",
    gate: str = "par",
    scale: bool = False,
    bias: bool = True,
) -> Node:
    """Up, gate, activation, down of layer ``il``.

    ``act`` is "SILU", "GELU", "RELU", "RELU_SQR", "SWIGLU_OAI", "SITU", or "SWIGLU", "GEGLU", "REGLU" for one packed
    projection. ``gate`` says what the gate reads: "par" the input, "seq" the up projection; it is skipped when the
    file has none. ``suffix`` is "_shexp" for shared experts; ``scale`` and ``bias`` whether those tensors are used.
    """
    up = x
    if b.layer(il, f"ffn_up{suffix}.weight") is not None:
        up = _part(b, il, "ffn_up" + suffix, x, scale=scale, bias=bias)
    is_gated = b.layer(il, f"ffn_gate{suffix}.weight") is not None
    cur = _part(b, il, "ffn_gate" + suffix, up if gate == "seq" else x, scale=scale, bias=bias) if is_gated else up
    cur = activate(b, il, act, cur, up if is_gated and gate == "par" else None)
    if b.layer(il, f"ffn_down{suffix}.weight") is None:
        return cur
    return _part(b, il, "ffn_down" + suffix, cur, scale=scale, bias=bias)


def _part(b: Builder, il: int, stem: str, x: Node, *, scale: bool, bias: bool) -> Node:
    # Unlike attention projections, the bias comes before the scale.
    result = product(b.need(il, stem + ".weight"), x)
    offset = b.layer(il, stem + ".bias") if bias else None
    factor = b.layer(il, stem + ".scale") if scale else None
    result = result if offset is None else add(result, offset)
    return result if factor is None else mul(result, factor)


def activate(b: Builder, il: int, act: str, cur: Node, up: Node | None) -> Node:
    """The activation of ``cur``, times ``up`` when it is gated in parallel."""
    if act in _PACKED:
        return glu_packed(act, cur)
    if act == "RELU_SQR":
        cur = sqr(unary("RELU", cur))
        return cur if up is None else mul(cur, up)
    if up is not None:
        if act == "SITU":
            return situ(b, cur, up)
        if act == "SILU" and _limit(b, il) > NO_LIMIT:
            return limited(cur, up, fused="ffn" in b.row.fused_clamp)
        return glu(_GATED[act], cur, up)
    cur = unary(act, cur)
    scales = b.layer(il, "ffn.act.scales") if act == "GELU" else None
    return cur if scales is None else div(cur, scales)


def _limit(b: Builder, il: int) -> float:
    routed = b.number_at("swiglu_clamp_exp", il) if b.row.shared_clamp_as_routed else 0.0
    return b.number_at("swiglu_clamp_shexp", il, routed)


def situ(b: Builder, gate: Node, up: Node) -> Node:
    """A bounded, gated SiTU: both factors through a hyperbolic tangent, the gate times its sigmoid."""
    cur = mul(scaled(unary("TANH", scaled(gate))), unary("SIGMOID", gate))
    if b.number("activation.situ_linear_beta") > 0:
        up = scaled(unary("TANH", scaled(up)))
    return mul(cur, up)


def limited(gate: Node, up: Node, *, fused: bool) -> Node:
    """A SwiGLU whose factors are clamped, in one operation or in four."""
    if fused:
        return glu("SWIGLU_CLAMP", gate, up)
    clamped = clamp(up)
    return mul(clamp(unary("SILU", gate)), clamped)


def projected(b: Builder, il: int, x: Node, *, scale: bool = False) -> Node:
    """Only the down projection, for blocks that build the inner part themselves."""
    return project(b, il, "ffn_down", x, scale=scale)

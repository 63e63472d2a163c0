"""RWKV 7: time mixing and channel mixing (src/models/rwkv7-base.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.families.rwkv6_base import (
    by_head,
    finish,
    group_norm,
    lerp,
    matrices,
    mix_weight,
    split_states,
    squared,
    times,
)
from omniplan.llamacpp.graph.inputs import RecurrentInput
from omniplan.llamacpp.graph.kernels import rwkv_wkv7
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import (
    add,
    l2_norm,
    mul,
    repeat,
    scale,
    sub,
    sum_rows,
    unary,
)
from omniplan.llamacpp.graph.recurrent import states
from omniplan.llamacpp.graph.views import reshape


class TimeMix7:
    """RWKV 7: a delta rule with learned decay and in-context learning rate.

    An instance serves one graph: later layers mix in the values of the first.
    """

    def __init__(self) -> None:
        self._first_v: Node | None = None

    def __call__(self, b: Builder, inputs: RecurrentInput, il: int, x: Node, before: Node) -> Node:
        """The block's output for tokens ``x`` that follow ``before``."""
        is_gated = b.layer(il, "time_mix_g1.weight") is not None and b.layer(il, "time_mix_g2.weight") is not None
        xr, xw, xk, xv, xa, *xg = self._interpolated(b, il, x, before, 6 if is_gated else 5)
        r, k = times(b, il, "receptance", xr), times(b, il, "key", xk)
        v = self._values(b, il, xv)
        a = unary("SIGMOID", add(times(b, il, "a2", times(b, il, "a1", xa)), mix_weight(b, il, "a0")))
        (kk,) = by_head(b, mul(k, mix_weight(b, il, "k_k")))
        kk = l2_norm(kk)
        ka = mul(k, mix_weight(b, il, "k_a"))
        k = add(k, sub(mul(a, ka), ka))
        r, w, k, v, a = by_head(b, r, self._decay(b, il, xw), k, v, a)
        state = states(b, inputs, "s", il)
        x = split_states(b, il, rwkv_wkv7(r, w, k, v, unary("NEG", kk), mul(kk, a), state))
        x = add(group_norm(b, il, x), self._bonus(b, il, r, k, v))
        if is_gated:
            x = mul(x, times(b, il, "g2", unary("SIGMOID", times(b, il, "g1", xg[0]))))
        return finish(b, il, x)

    @staticmethod
    def _interpolated(b: Builder, il: int, x: Node, before: Node, count: int) -> list[Node]:
        difference = sub(before, x)
        wide = repeat(difference, (x.ne[0], x.ne[1], x.ne[2], count))
        return matrices(b, add(mul(wide, mix_weight(b, il, "lerp_fused")), x), count)

    @staticmethod
    def _decay(b: Builder, il: int, x: Node) -> Node:
        low = unary("TANH", times(b, il, "w1", x))
        return unary("EXP", scale(unary("SIGMOID", add(times(b, il, "w2", low), mix_weight(b, il, "w0")))))

    def _values(self, b: Builder, il: int, x: Node) -> Node:
        v = times(b, il, "value", x)
        if self._first_v is None:
            self._first_v = v
            return v
        share = unary("SIGMOID", add(times(b, il, "v2", times(b, il, "v1", x)), mix_weight(b, il, "v0")))
        return add(v, mul(sub(self._first_v, v), share))

    @staticmethod
    def _bonus(b: Builder, il: int, r: Node, k: Node, v: Node) -> Node:
        weight = reshape(mix_weight(b, il, "r_k"), r.ne[0], r.ne[1])
        return reshape(mul(v, sum_rows(mul(mul(k, r), weight))), b.hparams.n_embd, b.n_tokens)


def channel_mix_7(b: Builder, il: int, x: Node, before: Node) -> Node:
    """A squared-ReLU FFN (``build_rwkv7_channel_mix``)."""
    return squared(b, il, lerp(b, il, "k", sub(before, x), x))

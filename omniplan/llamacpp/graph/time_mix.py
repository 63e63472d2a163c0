"""Time mixing of RWKV 6 and 7: token-shifted projections around a recurrent kernel.

Upstream: src/models/rwkv6-base.cpp:build_rwkv6_time_mix; src/models/rwkv7-base.cpp:build_rwkv7_time_mix.
"""

from __future__ import annotations

from collections.abc import Callable

from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.inputs import RecurrentInput
from omniplan.llamacpp.graph.kernels import gated_linear_attn, rwkv_wkv6, rwkv_wkv7
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import add, cont, l2_norm, mul, mul_mat, norm, repeat, scale, sub, sum_rows, unary
from omniplan.llamacpp.graph.recurrent import states, store
from omniplan.llamacpp.graph.views import permute, reshape, view_1d, view_2d

# Normalised tokens and the same one token earlier, both [n_embd, n_seq_tokens, n_seqs], to the block's output.
TimeMix = Callable[[Builder, RecurrentInput, int, Node, Node], Node]


def _w(b: Builder, il: int, name: str) -> Node:
    return b.need(il, f"time_mix_{name}.weight")


def _times(b: Builder, il: int, name: str, x: Node) -> Node:
    return mul_mat(_w(b, il, name), x)


def _parts(b: Builder, x: Node, count: int) -> list[Node]:
    """Matrices [n_embd, n_tokens] that lie behind each other in ``x``."""
    n_embd, n = b.hparams.n_embd, b.n_tokens
    return [view_2d(x, n_embd, n, x.nb[1], i * n_embd * n * x.nb[0]) for i in range(count)]


def _by_head(b: Builder, *tensors: Node) -> list[Node]:
    size = b.hparams.wkv_head_size
    return [reshape(x, size, b.hparams.n_embd // size, b.n_tokens) for x in tensors]


def _split(b: Builder, il: int, mixed: Node) -> Node:
    """The kernel's outputs; its new states go to the cache."""
    n_embd, n = b.hparams.n_embd, b.n_tokens
    new = view_1d(mixed, n_embd * b.hparams.wkv_head_size * b.batch.n_seqs, n_embd * n * mixed.nb[0])
    outputs = view_1d(mixed, n_embd * n)
    store(b, new, "s", il, flat=True)
    return outputs


def _finish(b: Builder, il: int, x: Node) -> Node:
    return reshape(_times(b, il, "output", x), b.hparams.n_embd, b.batch.n_seq_tokens, b.batch.n_seqs)


def _group_norm(b: Builder, il: int, x: Node) -> Node:
    """Heads normalised on their own where the file has the weights, [n_embd, n_tokens]."""
    weight, bias = b.layer(il, "time_mix_ln.weight"), b.layer(il, "time_mix_ln.bias")
    if weight is None or bias is None:
        return reshape(x, b.hparams.n_embd, b.n_tokens)
    (heads,) = _by_head(b, x)
    return add(mul(reshape(norm(heads), b.hparams.n_embd, b.n_tokens), weight), bias)


class TimeMix6:
    """RWKV 6: data-dependent interpolation and decay; without ``time_mix_first`` as gated linear attention."""

    def __call__(self, b: Builder, inputs: RecurrentInput, il: int, x: Node, before: Node) -> Node:
        """The block's output for tokens ``x`` that follow ``before``."""
        first = b.layer(il, "time_mix_first.weight")
        xw, xk, xv, xr, xg = _interpolated(b, il, x, before)
        r, k, v = (self._projected(b, il, name, y) for name, y in (("receptance", xr), ("key", xk), ("value", xv)))
        gate = unary("SIGMOID" if first is None else "SILU", _times(b, il, "gate", xg))
        k, v = (self._spread(b, il, y) for y in (k, v))
        k, v, r, w = _by_head(b, k, v, r, self._decay(b, il, xw))
        if first is None:
            k = sub(k, mul(k, w))
        state = states(b, inputs, "s", il)
        mixed = gated_linear_attn(k, v, r, w, state) if first is None else rwkv_wkv6(k, v, r, first, w, state)
        x = _split(b, il, mixed)
        x = reshape(x, b.hparams.n_embd, b.n_tokens) if first is None else _group_norm(b, il, x)
        return _finish(b, il, mul(x, gate))

    @staticmethod
    def _projected(b: Builder, il: int, name: str, x: Node) -> Node:
        result, bias = _times(b, il, name, x), b.layer(il, f"time_mix_{name}.bias")
        return result if bias is None else add(result, bias)

    @staticmethod
    def _spread(b: Builder, il: int, x: Node) -> Node:
        """Each head of K or V repeated for the heads that share it."""
        size, n_head_kv = b.hparams.wkv_head_size, b.hparams.n_head_kv[il]
        n_head = b.hparams.n_embd // size
        if n_head_kv in (0, n_head):
            return x
        return repeat(reshape(x, size, 1, n_head_kv, b.n_tokens), (size, n_head // n_head_kv, n_head_kv, b.n_tokens))

    @staticmethod
    def _decay(b: Builder, il: int, x: Node) -> Node:
        low = unary("TANH", _times(b, il, "decay_w1", x))
        decay = add(_times(b, il, "decay_w2", low), _w(b, il, "decay"))
        return unary("EXP", unary("NEG", unary("EXP", decay)))


def _interpolated(b: Builder, il: int, x: Node, before: Node) -> list[Node]:
    """RWKV 6's five mixtures of each token with its predecessor: w, k, v, r, g."""
    n_embd, n = b.hparams.n_embd, b.n_tokens
    difference = reshape(sub(before, x), n_embd, n)
    x = reshape(x, n_embd, n)
    low, high = _w(b, il, "w1"), _w(b, il, "w2")
    mixed = unary("TANH", mul_mat(low, add(mul(difference, _w(b, il, "lerp_x")), x)))
    mixed = cont(permute(reshape(mixed, low.ne[1] // 5, 1, 5, n), 0, 1, 3, 2))
    mixed = mul_mat(reshape(high, high.ne[0], high.ne[1], 1, 5), mixed)
    fused = b.layer(il, "time_mix_lerp_fused.weight")
    if fused is not None:
        difference, x = reshape(difference, n_embd, 1, n), reshape(x, n_embd, 1, n)
        return _parts(b, add(mul(add(mixed, fused), difference), x), 5)
    parts = zip("wkvrg", _parts(b, mixed, 5), strict=True)
    return [add(mul(add(y, _w(b, il, f"lerp_{name}")), difference), x) for name, y in parts]


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
        r, k = _times(b, il, "receptance", xr), _times(b, il, "key", xk)
        v = self._values(b, il, xv)
        a = unary("SIGMOID", add(_times(b, il, "a2", _times(b, il, "a1", xa)), _w(b, il, "a0")))
        (kk,) = _by_head(b, mul(k, _w(b, il, "k_k")))
        kk = l2_norm(kk)
        ka = mul(k, _w(b, il, "k_a"))
        k = add(k, sub(mul(a, ka), ka))
        r, w, k, v, a = _by_head(b, r, self._decay(b, il, xw), k, v, a)
        state = states(b, inputs, "s", il)
        x = _split(b, il, rwkv_wkv7(r, w, k, v, unary("NEG", kk), mul(kk, a), state))
        x = add(_group_norm(b, il, x), self._bonus(b, il, r, k, v))
        if is_gated:
            x = mul(x, _times(b, il, "g2", unary("SIGMOID", _times(b, il, "g1", xg[0]))))
        return _finish(b, il, x)

    @staticmethod
    def _interpolated(b: Builder, il: int, x: Node, before: Node, count: int) -> list[Node]:
        difference = sub(before, x)
        wide = repeat(difference, (x.ne[0], x.ne[1], x.ne[2], count))
        return _parts(b, add(mul(wide, _w(b, il, "lerp_fused")), x), count)

    @staticmethod
    def _decay(b: Builder, il: int, x: Node) -> Node:
        low = unary("TANH", _times(b, il, "w1", x))
        return unary("EXP", scale(unary("SIGMOID", add(_times(b, il, "w2", low), _w(b, il, "w0")))))

    def _values(self, b: Builder, il: int, x: Node) -> Node:
        v = _times(b, il, "value", x)
        if self._first_v is None:
            self._first_v = v
            return v
        share = unary("SIGMOID", add(_times(b, il, "v2", _times(b, il, "v1", x)), _w(b, il, "v0")))
        return add(v, mul(sub(self._first_v, v), share))

    @staticmethod
    def _bonus(b: Builder, il: int, r: Node, k: Node, v: Node) -> Node:
        weight = reshape(_w(b, il, "r_k"), r.ne[0], r.ne[1])
        return reshape(mul(v, sum_rows(mul(mul(k, r), weight))), b.hparams.n_embd, b.n_tokens)

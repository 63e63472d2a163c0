"""RWKV 6: time mixing, channel mixing and the token shift of both generations (src/models/rwkv6-base.cpp)."""

from __future__ import annotations

from collections.abc import Callable

from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.inputs import RecurrentInput
from omniplan.llamacpp.graph.kernels import gated_linear_attn, rwkv_wkv6
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import (
    add,
    concat,
    cont,
    mul,
    mul_mat,
    norm,
    repeat,
    sqr,
    sub,
    unary,
)
from omniplan.llamacpp.graph.recurrent import states, store
from omniplan.llamacpp.graph.views import permute, reshape, view_1d, view_2d, view_3d

# Normalised tokens and the same one token earlier, both [n_embd, n_seq_tokens, n_seqs], to the block's output.
TimeMix = Callable[[Builder, RecurrentInput, int, Node, Node], Node]


def mix_weight(b: Builder, il: int, name: str) -> Node:
    """The weight ``time_mix_<name>``."""
    return b.need(il, f"time_mix_{name}.weight")


def times(b: Builder, il: int, name: str, x: Node) -> Node:
    """``x`` through the weight ``time_mix_<name>``."""
    return mul_mat(mix_weight(b, il, name), x)


def matrices(b: Builder, x: Node, count: int) -> list[Node]:
    """Matrices [n_embd, n_tokens] that lie behind each other in ``x``."""
    n_embd, n = b.hparams.n_embd, b.n_tokens
    return [view_2d(x, n_embd, n, x.nb[1], i * n_embd * n * x.nb[0]) for i in range(count)]


def by_head(b: Builder, *tensors: Node) -> list[Node]:
    """Every tensor as [head, n_head, n_tokens]."""
    size = b.hparams.wkv_head_size
    return [reshape(x, size, b.hparams.n_embd // size, b.n_tokens) for x in tensors]


def split_states(b: Builder, il: int, mixed: Node) -> Node:
    """The kernel's outputs; its new states go to the cache."""
    n_embd, n = b.hparams.n_embd, b.n_tokens
    new = view_1d(mixed, n_embd * b.hparams.wkv_head_size * b.batch.n_seqs, n_embd * n * mixed.nb[0])
    outputs = view_1d(mixed, n_embd * n)
    store(b, new, "s", il, flat=True)
    return outputs


def finish(b: Builder, il: int, x: Node) -> Node:
    """The output projection, by sequence."""
    return reshape(times(b, il, "output", x), b.hparams.n_embd, b.batch.n_seq_tokens, b.batch.n_seqs)


def group_norm(b: Builder, il: int, x: Node) -> Node:
    """Heads normalised on their own where the file has the weights, [n_embd, n_tokens]."""
    weight, bias = b.layer(il, "time_mix_ln.weight"), b.layer(il, "time_mix_ln.bias")
    if weight is None or bias is None:
        return reshape(x, b.hparams.n_embd, b.n_tokens)
    (heads,) = by_head(b, x)
    return add(mul(reshape(norm(heads), b.hparams.n_embd, b.n_tokens), weight), bias)


class TimeMix6:
    """RWKV 6: data-dependent interpolation and decay; without ``time_mix_first`` as gated linear attention."""

    def __call__(self, b: Builder, inputs: RecurrentInput, il: int, x: Node, before: Node) -> Node:
        """The block's output for tokens ``x`` that follow ``before``."""
        first = b.layer(il, "time_mix_first.weight")
        xw, xk, xv, xr, xg = _interpolated(b, il, x, before)
        r, k, v = (self._projected(b, il, name, y) for name, y in (("receptance", xr), ("key", xk), ("value", xv)))
        gate = unary("SIGMOID" if first is None else "SILU", times(b, il, "gate", xg))
        k, v = (self._spread(b, il, y) for y in (k, v))
        k, v, r, w = by_head(b, k, v, r, self._decay(b, il, xw))
        if first is None:
            k = sub(k, mul(k, w))
        state = states(b, inputs, "s", il)
        mixed = gated_linear_attn(k, v, r, w, state) if first is None else rwkv_wkv6(k, v, r, first, w, state)
        x = split_states(b, il, mixed)
        x = reshape(x, b.hparams.n_embd, b.n_tokens) if first is None else group_norm(b, il, x)
        return finish(b, il, mul(x, gate))

    @staticmethod
    def _projected(b: Builder, il: int, name: str, x: Node) -> Node:
        result, bias = times(b, il, name, x), b.layer(il, f"time_mix_{name}.bias")
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
        low = unary("TANH", times(b, il, "decay_w1", x))
        decay = add(times(b, il, "decay_w2", low), mix_weight(b, il, "decay"))
        return unary("EXP", unary("NEG", unary("EXP", decay)))


def _interpolated(b: Builder, il: int, x: Node, before: Node) -> list[Node]:
    """RWKV 6's five mixtures of each token with its predecessor: w, k, v, r, g."""
    n_embd, n = b.hparams.n_embd, b.n_tokens
    difference = reshape(sub(before, x), n_embd, n)
    x = reshape(x, n_embd, n)
    low, high = mix_weight(b, il, "w1"), mix_weight(b, il, "w2")
    mixed = unary("TANH", mul_mat(low, add(mul(difference, mix_weight(b, il, "lerp_x")), x)))
    mixed = cont(permute(reshape(mixed, low.ne[1] // 5, 1, 5, n), 0, 1, 3, 2))
    mixed = mul_mat(reshape(high, high.ne[0], high.ne[1], 1, 5), mixed)
    fused = b.layer(il, "time_mix_lerp_fused.weight")
    if fused is not None:
        difference, x = reshape(difference, n_embd, 1, n), reshape(x, n_embd, 1, n)
        return matrices(b, add(mul(add(mixed, fused), difference), x), 5)
    parts = zip("wkvrg", matrices(b, mixed, 5), strict=True)
    return [add(mul(add(y, mix_weight(b, il, f"lerp_{name}")), difference), x) for name, y in parts]


def shifted(b: Builder, x: Node, before: Node) -> Node:
    """``x`` one token later, ``before`` in front."""
    earlier = view_3d(x, b.hparams.n_embd, b.batch.n_seq_tokens - 1, b.batch.n_seqs, x.nb[1], x.nb[2])
    return concat(before, earlier, 1)


def last_token(b: Builder, x: Node) -> Node:
    """The last token of every sequence."""
    n_embd = b.hparams.n_embd
    offset = (b.batch.n_seq_tokens - 1) * n_embd * x.nb[0]
    return view_3d(x, n_embd, 1, b.batch.n_seqs, x.nb[1], x.nb[2], offset)


def load_shift(b: Builder, inputs: RecurrentInput, il: int) -> Node:
    """The tokens kept from earlier, [n_embd, count, n_seqs] (``build_rwkv_token_shift_load``)."""
    kept = states(b, inputs, "r", il)
    return reshape(kept, b.hparams.n_embd, b.hparams.token_shift_count, b.batch.n_seqs)


def store_shift(b: Builder, il: int, x: Node) -> None:
    """Keep ``x`` for the next batch (``build_rwkv_token_shift_store``)."""
    store(b, view_1d(x, x.ne[0] * x.ne[1] * x.ne[2]), "r", il, flat=True)


def channel_mix_6(b: Builder, il: int, x: Node, before: Node) -> Node:
    """A squared-ReLU FFN gated by receptance (``build_rwkv6_channel_mix``)."""
    difference = sub(before, x)
    key, gate = (lerp(b, il, part, difference, x) for part in "kr")
    gate = unary("SIGMOID", mul_mat(b.need(il, "channel_mix_receptance.weight"), gate))
    return mul(gate, squared(b, il, key))


def lerp(b: Builder, il: int, part: str, difference: Node, x: Node) -> Node:
    """Each token mixed with its predecessor by the channel mix's weights."""
    return add(mul(difference, b.need(il, f"channel_mix_lerp_{part}.weight")), x)


def squared(b: Builder, il: int, x: Node) -> Node:
    """The channel mix's squared-ReLU FFN."""
    key = sqr(unary("RELU", mul_mat(b.need(il, "channel_mix_key.weight"), x)))
    return mul_mat(b.need(il, "channel_mix_value.weight"), key)

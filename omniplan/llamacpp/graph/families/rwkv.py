"""RWKV 6 and 7, and the Qwen models whose attention was replaced by their time mixing.

Upstream: src/models/rwkv6-base.cpp, rwkv7-base.cpp, rwkv6.cpp, rwkv7.cpp, rwkv6qwen2.cpp, arwkv7.cpp.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph import inputs as inp
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.ffn import ffn
from omniplan.llamacpp.graph.inputs import RecurrentInput
from omniplan.llamacpp.graph.linear import layer_norm, normed
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import add, concat, get_rows, mul, mul_mat, scale, sqr, sub, unary
from omniplan.llamacpp.graph.recipe import Recipe
from omniplan.llamacpp.graph.recurrent import states, store
from omniplan.llamacpp.graph.time_mix import TimeMix, TimeMix6, TimeMix7
from omniplan.llamacpp.graph.views import reshape, view_1d, view_3d

ChannelMix = Callable[[Builder, int, Node, Node], Node]


def shifted(b: Builder, x: Node, before: Node) -> Node:
    """``x`` one token later, ``before`` in front."""
    earlier = view_3d(x, b.hparams.n_embd, b.batch.n_seq_tokens - 1, b.batch.n_seqs, x.nb[1], x.nb[2])
    return concat(before, earlier, 1)


def last_token(b: Builder, x: Node) -> Node:
    """The last token of every sequence."""
    n_embd = b.hparams.n_embd
    offset = (b.batch.n_seq_tokens - 1) * n_embd * x.nb[0]
    return view_3d(x, n_embd, 1, b.batch.n_seqs, x.nb[1], x.nb[2], offset)


def _load_shift(b: Builder, inputs: RecurrentInput, il: int) -> Node:
    """The tokens kept from earlier, [n_embd, count, n_seqs] (``build_rwkv_token_shift_load``)."""
    kept = states(b, inputs, "r", il)
    return reshape(kept, b.hparams.n_embd, b.hparams.token_shift_count, b.batch.n_seqs)


def _store_shift(b: Builder, il: int, x: Node) -> None:
    store(b, view_1d(x, x.ne[0] * x.ne[1] * x.ne[2]), "r", il, flat=True)


def native(b: Builder, time_mix: TimeMix, channel_mix: ChannelMix) -> None:
    """RWKV's own layer: time mixing and channel mixing, each on a layer norm and its predecessor."""
    recipe = Recipe(norm="layer")
    weight, bias = (b.need_shared(f"token_embd_norm.{part}") for part in ("weight", "bias"))
    x = normed("layer", inp.embeddings(b), weight, bias, 0)
    inputs, out_ids = inp.recurrent(b), inp.output_ids(b)
    every = int(b.number("rescale_every_n_layers"))
    for il in range(b.hparams.n_layer):
        residual, normal, before = _mixed(b, inputs, il, x, time_mix)
        if il == b.hparams.n_layer - 1:
            residual, normal, before = (get_rows(y, out_ids) for y in (residual, normal, before))
        x = add(channel_mix(b, il, normal, before), residual)
        if every and (il + 1) % every == 0:
            x = scale(x)
    decoder.head(b, recipe, x)


def _mixed(b: Builder, inputs: RecurrentInput, il: int, x: Node, time_mix: TimeMix) -> tuple[Node, Node, Node]:
    """The residual stream after time mixing, its norm, and the norm one token earlier, all [n_embd, n_tokens]."""
    n_embd, n_s = b.hparams.n_embd, b.batch.n_seqs
    x = reshape(x, n_embd, b.batch.n_seq_tokens, n_s)
    kept = _load_shift(b, inputs, il)
    first, second = (view_3d(kept, n_embd, 1, n_s, kept.nb[1], kept.nb[2], i * n_embd * kept.nb[0]) for i in (0, 1))
    normal = layer_norm(b, il, "attn_norm", x, "layer")
    hidden = add(time_mix(b, inputs, il, normal, shifted(b, normal, first)), x)
    after = layer_norm(b, il, "attn_norm_2", hidden, "layer")
    before = shifted(b, after, second)
    _store_shift(b, il, concat(last_token(b, normal), last_token(b, after), 1))
    hidden, after, before = (reshape(y, n_embd, b.n_tokens) for y in (hidden, after, before))
    return hidden, after, before


def channel_mix_6(b: Builder, il: int, x: Node, before: Node) -> Node:
    """A squared-ReLU FFN gated by receptance (``build_rwkv6_channel_mix``)."""
    difference = sub(before, x)
    key, gate = (_lerp(b, il, part, difference, x) for part in "kr")
    gate = unary("SIGMOID", mul_mat(b.need(il, "channel_mix_receptance.weight"), gate))
    return mul(gate, _squared(b, il, key))


def channel_mix_7(b: Builder, il: int, x: Node, before: Node) -> Node:
    """A squared-ReLU FFN (``build_rwkv7_channel_mix``)."""
    return _squared(b, il, _lerp(b, il, "k", sub(before, x), x))


def _lerp(b: Builder, il: int, part: str, difference: Node, x: Node) -> Node:
    return add(mul(difference, b.need(il, f"channel_mix_lerp_{part}.weight")), x)


def _squared(b: Builder, il: int, x: Node) -> Node:
    key = sqr(unary("RELU", mul_mat(b.need(il, "channel_mix_key.weight"), x)))
    return mul_mat(b.need(il, "channel_mix_value.weight"), key)


def transplanted(b: Builder, time_mix: TimeMix) -> None:
    """A Qwen layer with time mixing in place of attention."""
    n_embd, n_layer = b.hparams.n_embd, b.hparams.n_layer
    x = inp.embeddings(b)
    inputs, out_ids = inp.recurrent(b), inp.output_ids(b)
    for il in range(n_layer):
        x = reshape(x, n_embd, b.batch.n_seq_tokens, b.batch.n_seqs)
        kept = _load_shift(b, inputs, il)
        normal = layer_norm(b, il, "attn_norm", x)
        mixed = time_mix(b, inputs, il, normal, shifted(b, normal, kept))
        _store_shift(b, il, last_token(b, normal))
        hidden = reshape(add(mixed, x), n_embd, b.n_tokens)
        if il == n_layer - 1:
            hidden = get_rows(hidden, out_ids)
        x = add(ffn(b, il, layer_norm(b, il, "ffn_norm", hidden), bias=False), hidden)
    decoder.head(b, Recipe(), x)


FAMILIES: Final[dict[str, Callable[[Builder], None]]] = {
    "arwkv7": lambda b: transplanted(b, TimeMix7()),
    "rwkv6": lambda b: native(b, TimeMix6(), channel_mix_6),
    "rwkv6qwen2": lambda b: transplanted(b, TimeMix6()),
    "rwkv7": lambda b: native(b, TimeMix7(), channel_mix_7),
}

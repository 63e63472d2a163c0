"""RWKV 6 and 7 (src/models/rwkv6.cpp, rwkv7.cpp)."""

from __future__ import annotations

from collections.abc import Callable

from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph import inputs as inp
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.families.rwkv6_base import (
    TimeMix,
    TimeMix6,
    channel_mix_6,
    last_token,
    load_shift,
    shifted,
    store_shift,
)
from omniplan.llamacpp.graph.families.rwkv7_base import TimeMix7, channel_mix_7
from omniplan.llamacpp.graph.inputs import RecurrentInput
from omniplan.llamacpp.graph.linear import layer_norm, normed
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import add, concat, get_rows, scale
from omniplan.llamacpp.graph.recipe import Recipe
from omniplan.llamacpp.graph.views import reshape, view_3d

ChannelMix = Callable[[Builder, int, Node, Node], Node]


def _native(b: Builder, time_mix: TimeMix, channel_mix: ChannelMix) -> None:
    """RWKV's own layer: time mixing and channel mixing, each on a layer norm and its predecessor."""
    recipe = Recipe(norm="layer")
    weight, bias = (b.need_shared(f"token_embd_norm.{part}") for part in ("weight", "bias"))
    x = normed("layer", inp.embeddings(b), weight, bias, 0)
    inputs, out_ids = inp.recurrent(b), inp.output_ids(b)
    every = b.count("rescale_every_n_layers")
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
    kept = load_shift(b, inputs, il)
    first, second = (view_3d(kept, n_embd, 1, n_s, kept.nb[1], kept.nb[2], i * n_embd * kept.nb[0]) for i in (0, 1))
    normal = layer_norm(b, il, "attn_norm", x, "layer")
    hidden = add(time_mix(b, inputs, il, normal, shifted(b, normal, first)), x)
    after = layer_norm(b, il, "attn_norm_2", hidden, "layer")
    before = shifted(b, after, second)
    store_shift(b, il, concat(last_token(b, normal), last_token(b, after), 1))
    hidden, after, before = (reshape(y, n_embd, b.n_tokens) for y in (hidden, after, before))
    return hidden, after, before


def rwkv6(b: Builder) -> None:
    """RWKV 6."""
    _native(b, TimeMix6(), channel_mix_6)


def rwkv7(b: Builder) -> None:
    """RWKV 7."""
    _native(b, TimeMix7(), channel_mix_7)

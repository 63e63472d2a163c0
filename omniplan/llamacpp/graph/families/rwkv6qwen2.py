"""Qwen 2 with RWKV's time mixing in place of attention (src/models/rwkv6qwen2.cpp, arwkv7.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph import inputs as inp
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.families.rwkv6_base import TimeMix, TimeMix6, last_token, load_shift, shifted, store_shift
from omniplan.llamacpp.graph.families.rwkv7_base import TimeMix7
from omniplan.llamacpp.graph.ffn import ffn
from omniplan.llamacpp.graph.linear import layer_norm
from omniplan.llamacpp.graph.ops import add, get_rows
from omniplan.llamacpp.graph.recipe import Recipe
from omniplan.llamacpp.graph.views import reshape


def _transplanted(b: Builder, time_mix: TimeMix) -> None:
    """A Qwen layer with time mixing in place of attention."""
    n_embd, n_layer = b.hparams.n_embd, b.hparams.n_layer
    x = inp.embeddings(b)
    inputs, out_ids = inp.recurrent(b), inp.output_ids(b)
    for il in range(n_layer):
        x = reshape(x, n_embd, b.batch.n_seq_tokens, b.batch.n_seqs)
        kept = load_shift(b, inputs, il)
        normal = layer_norm(b, il, "attn_norm", x)
        mixed = time_mix(b, inputs, il, normal, shifted(b, normal, kept))
        store_shift(b, il, last_token(b, normal))
        hidden = reshape(add(mixed, x), n_embd, b.n_tokens)
        if il == n_layer - 1:
            hidden = get_rows(hidden, out_ids)
        x = add(ffn(b, il, layer_norm(b, il, "ffn_norm", hidden), bias=False), hidden)
    decoder.head(b, Recipe(), x)


def rwkv6qwen2(b: Builder) -> None:
    """With the time mixing of RWKV 6."""
    _transplanted(b, TimeMix6())


def arwkv7(b: Builder) -> None:
    """With the time mixing of RWKV 7."""
    _transplanted(b, TimeMix7())

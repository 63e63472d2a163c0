"""Hunyuan 4: sparse or dense latent attention between hyper-connected streams (src/models/hy-v4.cpp)."""

from __future__ import annotations

from omniplan.llamacpp.graph import decoder, hyper
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.families.deepseek2 import lead_dense_feed
from omniplan.llamacpp.graph.families.deepseek32 import SparseAttention
from omniplan.llamacpp.graph.linear import layer_norm
from omniplan.llamacpp.graph.moe import KEYED
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import F32, add, cast, concat, mul, scale, unary
from omniplan.llamacpp.graph.recipe import Recipe
from omniplan.llamacpp.graph.views import reshape, view_2d


def build(b: Builder) -> None:
    """The whole decoder."""
    attention = SparseAttention(b, rotate=False, out_scale=False)
    recipe = Recipe(
        keys_only=True,
        sinks=True,
        out_gate="SIGMOID",
        moe=KEYED,
        output_scale=False,
    )
    x = decoder.embed(b, recipe)
    inputs = decoder.shared_inputs(b, recipe)
    x = hyper.streams(b, x)
    for il in range(b.hparams.n_layer):
        cur, spread = _before(b, il, "attn", x)
        cur = attention(b, recipe, inputs, il, layer_norm(b, il, "attn_norm", cur))
        x = _after(cur, x, spread)
        cur, spread = _before(b, il, "ffn", x)
        cur = lead_dense_feed(b, recipe, il, layer_norm(b, il, "ffn_norm", cur))
        x = _after(cur, x, spread)
    x = hyper.selected(x, inputs.out_ids)
    mix = hyper.head_mixer(b)
    x = _reduced(x, hyper.head_weights(hyper.mixes(x, mix.matrix), mix))
    decoder.head(b, recipe, x)


def _before(b: Builder, il: int, block: str, x: Node) -> tuple[Node, Node]:
    """What enters the block, and the weights that spread its output."""
    mix, n_stream = hyper.mixer(b, il, block), hyper.count(b)
    mixes = hyper.mixes(x, mix.matrix)
    spread = scale(scale(unary("SIGMOID", hyper.part(mixes, mix, n_stream, 1, n_stream))))
    return _reduced(x, hyper.weights_before(mixes, mix, n_stream)), spread


def _reduced(x: Node, weights: Node) -> Node:
    return cast(hyper.reduced(cast(x, F32), weights), x.type)


def _after(block: Node, residual: Node, spread: Node) -> Node:
    """Every stream plus its share of the block's output."""
    n_embd, n_stream, n, _ = residual.ne
    block, spread, kept = cast(block, F32), cast(spread, F32), cast(residual, F32)
    out: Node | None = None
    for i in range(n_stream):
        stream = view_2d(kept, n_embd, n, kept.nb[2], i * kept.nb[1])
        share = view_2d(spread, 1, n, spread.nb[1], i * spread.nb[0])
        cur = reshape(add(stream, mul(block, share)), n_embd, 1, n)
        out = cur if out is None else concat(out, cur, 1)
    assert out is not None
    return cast(out, residual.type)

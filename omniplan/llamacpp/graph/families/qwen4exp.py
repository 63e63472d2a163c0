"""Qwen 4: delta nets and pooled sparse attention between hyper-connected streams (src/models/qwen4exp.cpp)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from omniplan.llamacpp.graph import decoder, hyper, nextn, pooled, recurrent
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.families.qwen3next import attention, linear_attention
from omniplan.llamacpp.graph.inputs import AttentionInput
from omniplan.llamacpp.graph.kernels import dsv4_hc_post, dsv4_hc_pre, lightning_indexer
from omniplan.llamacpp.graph.linear import layer_norm, project
from omniplan.llamacpp.graph.moe import Moe, Shared
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import (
    F32,
    I32,
    add,
    cast,
    clamp,
    concat,
    cont,
    cumsum,
    fill,
    get_rows,
    mul,
    mul_mat,
    repeat,
    rms_norm,
    rope,
    scale,
    sqrt,
    sum_rows,
    top_k,
    unary,
)
from omniplan.llamacpp.graph.pooled import PoolInput
from omniplan.llamacpp.graph.recipe import Inputs, Recipe
from omniplan.llamacpp.graph.views import reshape, transpose, view_2d, view_3d, view_4d

_RECIPE: Final = Recipe(positions=4, moe=Moe(scales=True, shared=Shared.GATED, shared_scale=True))
Weight = Callable[[str], Node]


def build(b: Builder) -> None:
    """The whole decoder; the connection that ends the streams is also the final norm."""
    h, x = b.hparams, decoder.embed(b, _RECIPE)
    inputs = decoder.shared_inputs(b, _RECIPE)
    pools = _Pools(b) if h.indexer_head_size and any(h.compress_ratios) else None
    grams = _Grams(b) if b.model.key("ple.layers") else None
    x = hyper.streams(b, x)
    b.graph.expand(x)
    for il in range(h.n_layer):
        if grams is not None and il in grams.layers:
            x = grams.added(b, inputs, il, x)
        cur, share = _enter(b, il, "attn", x)
        b.graph.expand(cur)
        cur = _mixer(b, inputs, pools, il, cur)
        if il == h.n_layer - 1:
            cur, share = get_rows(cur, inputs.out_ids), get_rows(share, inputs.out_ids)
            x = hyper.selected(x, inputs.out_ids)
        x = _leave(b, il, cur, x, share)
        cur, share = _enter(b, il, "ffn", x)
        x = _leave(b, il, decoder.feed(b, _RECIPE, il, cur), x, share)
        x.name, x.il = "l_last", il
    x, _ = _mixed(b, -1, x, lambda part: b.need_shared(f"output_hc_{part}.weight", h.n_layer_all))
    decoder.unembed(b, _RECIPE, x)


def build_nextn(b: Builder) -> None:
    """The nextn layer, between streams that begin and end in it."""
    h, il, n = b.hparams, b.hparams.n_layer, b.n_tokens
    n_stream = hyper.count(b)
    token = layer_norm(b, il, "nextn.enorm", nextn.looked_up(b, il))
    hidden = reshape(b.input("mtp_h_input", F32, h.n_embd * n_stream, n), h.n_embd, n_stream, n)
    # No layer recurs, but the host fills the ids of states all the same.
    b.graph.expand(b.input("rs_s_copy", I32, b.context.n_seq_max))
    inputs = decoder.shared_inputs(b, _RECIPE)
    pools = _Pools(b) if h.indexer_head_size and h.indexer_kpool else None
    state = layer_norm(b, il, "nextn.hnorm", hidden)
    x = project(b, il, "nextn.eh_proj", concat(hyper.streams(b, token), state, 0), scale=False, bias=False)
    cur, share = _enter(b, il, "attn", x)
    x = _leave(b, il, _mixer(b, inputs, pools, il, cur), x, share)
    cur, share = _enter(b, il, "ffn", x)
    x = _leave(b, il, decoder.feed(b, _RECIPE, il, cur), x, share)
    flat = reshape(x, h.n_embd * n_stream, n)
    b.graph.output(flat)
    b.graph.expand(flat)
    x = reshape(get_rows(flat, inputs.out_ids), h.n_embd, n_stream, inputs.out_ids.ne[0])
    x, _ = _mixed(b, il, x, lambda part: b.need(il, f"nextn.hc_head_{part}.weight"))
    decoder.unembed(b, _RECIPE, x)


def _mixer(b: Builder, inputs: Inputs, pools: _Pools | None, il: int, x: Node) -> Node:
    if b.hparams.is_recr[il]:
        return linear_attention(b, _RECIPE, inputs, il, x, act="SIGMOID")
    if pools is not None and b.hparams.compress_ratios[il]:
        assert inputs.attention is not None
        base = inputs.attention.base
        shown = replace(base, mask=pools.mask(b, inputs, il, x, base.mask))
        inputs = replace(inputs, attention=AttentionInput(base=shown))
    return attention(b, _RECIPE, inputs, il, x, bias=False)


def _enter(b: Builder, il: int, block: str, x: Node) -> tuple[Node, Node]:
    cur, normed = _mixed(b, il, x, lambda part: b.need(il, f"hc_{block}_{part}.weight"))
    return cur, mul_mat(b.need(il, f"hc_{block}_inject.weight"), normed)


def _mixed(b: Builder, il: int, x: Node, weight: Weight) -> tuple[Node, Node]:
    """The streams gated and averaged into one, and their norms (``build_hc_mix``)."""
    n_embd, n_stream, n, _ = x.ne
    normed = reshape(mul(rms_norm(x), weight("norm")), n_embd * n_stream, n)
    gate = mul_mat(weight("up"), unary("SILU", scale(mul_mat(weight("down"), normed))))
    if b.context.fused_hc_pre and il >= 0:
        result = dsv4_hc_pre(reshape(normed, n_embd, n_stream, n), reshape(gate, n_embd, n_stream, n))
        result.il = il
        return result, normed
    gated = reshape(mul(normed, unary("SIGMOID", gate)), n_embd, n_stream, n)
    row = gated.type.row_size(n_embd)
    streams = [view_2d(gated, n_embd, n, row * n_stream, row * i) for i in range(n_stream)]
    total = cont(streams[0])
    for stream in streams[1:]:
        total = add(total, stream)
    return scale(total), normed


def _leave(b: Builder, il: int, block: Node, residual: Node, share: Node) -> Node:
    """Every stream plus its share of the block's output (``build_hc_combine``)."""
    n_embd, n_stream, n, _ = residual.ne
    share = scale(unary("SIGMOID", scale(share)))
    if b.context.fused_hc_post:
        result = dsv4_hc_post(block, residual, share, None)
        result.il = il
        return result
    share = reshape(share, 1, n_stream, n)
    return add(residual, mul(repeat(reshape(block, n_embd, 1, n), (n_embd, n_stream, n, 1)), share))


class _Pools:
    """Selection of pools by the mean of their members' keys (``build_qsa_sel``)."""

    def __init__(self, b: Builder) -> None:
        self.given: PoolInput = pooled.pool_input(b)
        self.positions = b.input("new_pool_pos", I32, 4 * self.given.new_cells.ne[0])

    def mask(self, b: Builder, inputs: Inputs, il: int, x: Node, mask: Node) -> Node:
        """``mask`` with all but the selected cells hidden."""
        given, n = self.given, b.n_tokens
        score = self._scores(b, inputs, il, x)
        chosen = top_k(score, pooled.n_chosen(b, given))
        cells = pooled.cells_of(given, chosen, tail=True)
        b.graph.expand(cells)
        live = self._live(score, chosen, n)
        shown = pooled.scattered(mask, cells, live, scale(cumsum(fill(live))))
        row, ne = shown.nb[2], mask.ne
        return reshape(add(view_4d(shown, ne, row, row * ne[1], row * ne[1] * ne[2]), mask), *ne)

    def _scores(self, b: Builder, inputs: Inputs, il: int, x: Node) -> Node:
        head, heads, n = b.hparams.indexer_head_size, b.hparams.indexer_n_head, b.n_tokens
        rows = pooled.new_rows(b, self.given, il, project(b, il, "indexer.k_proj", x, scale=False, bias=False))
        keys = pooled.pooled_keys(b, self.given, il, self._fresh(b, il, rows))
        q = reshape(mul_mat(b.need(il, "indexer.q_proj.weight"), x), head, heads, n)
        q = rope(layer_norm(b, il, "indexer.q_norm", q), inputs.positions)
        weights = fill(pooled.blank(F32, (heads, n, 1, 1)))
        return lightning_indexer(q, keys, weights, self.given.mask)

    def _fresh(self, b: Builder, il: int, rows: Node) -> Node:
        head, size, n_new, _ = rows.ne
        members = [view_2d(rows, head, n_new, rows.nb[2], i * rows.nb[1]) for i in range(size)]
        total = cont(members[0])
        for member in members[1:]:
            total = add(total, member)
        mean = reshape(layer_norm(b, il, "indexer.k_norm", scale(total)), head, 1, n_new)
        return reshape(rope(mean, self.positions), head, n_new)

    def _live(self, score: Node, chosen: Node, n: int) -> Node:
        """One for every slot that holds a visible cell."""
        size, count = self.given.size, chosen.ne[0]
        best = clamp(scale(get_rows(reshape(score, 1, score.ne[0], n), chosen)))
        best = reshape(repeat(best, (size, count, n, 1)), size * count, n)
        return concat(best, clamp(scale(cast(self.given.tail, F32))), 0)


class _Grams:
    """Embeddings of the last few tokens together, which one layer adds to its streams (``build_ple``)."""

    def __init__(self, b: Builder) -> None:
        layers = b.model.key("ple.layers")
        self.layers = layers if isinstance(layers, tuple) else (layers,)
        self.size = b.count("ple.ngram_size")
        heads = (self.size - 1) * b.count("ple.heads_per_ngram")
        rows = get_rows(b.need_shared("per_layer_token_embd.weight"), b.input("ple_rows", I32, heads * b.n_tokens))
        self.embedding = reshape(rows, rows.ne[0] * heads, b.n_tokens)
        b.graph.expand(self.embedding)

    def added(self, b: Builder, inputs: Inputs, il: int, x: Node) -> Node:
        """The streams with their gated share of the embedding, and that share convolved."""
        n_embd, n_stream, n, _ = x.ne
        key = _stream_norm(b, il, "key", mul_mat(b.need(il, "ple_key.weight"), self.embedding), x)
        value = mul_mat(b.need(il, "ple_value.weight"), self.embedding)
        dots = scale(sum_rows(mul(key, _stream_norm(b, il, "query", x, x))))
        size = sqrt(clamp(unary("ABS", dots)))
        gate = unary("SIGMOID", mul(unary("SGN", dots), size))
        gated = mul(repeat(reshape(value, n_embd, 1, n), (n_embd, n_stream, n, 1)), gate)
        normed = _stream_norm(b, il, "conv", reshape(gated, n_embd * n_stream, n), x)
        return add(x, add(gated, self._convolved(b, inputs, il, normed)))

    def _convolved(self, b: Builder, inputs: Inputs, il: int, x: Node) -> Node:
        """A causal convolution of every channel with gaps of ``size`` tokens, as a sum of shifted copies."""
        n_embd, n_stream, width = x.ne[0], x.ne[1], x.ne[0] * x.ne[1]
        n, n_seqs = b.batch.n_seq_tokens, b.batch.n_seqs
        flat = reshape(reshape(x, width, b.n_tokens), width, n, n_seqs)
        given = b.given(inputs.recurrent, "a recurrent layer")
        slots = range(1 + b.context.n_rs_seq)
        window = recurrent.conv_window(b, given, il, transpose(flat), part="p", copied=True, slots=slots)
        kernel = b.need(il, "ple_conv1d.weight")
        total: Node | None = None
        for k in range(b.count("ple.conv_kernel")):
            start = k * self.size * window.nb[0]
            shifted = cont(transpose(view_3d(window, n, width, n_seqs, window.nb[1], window.nb[2], start)))
            column = reshape(cont(view_2d(kernel, 1, width, kernel.nb[1], k * kernel.nb[0])), width)
            term = mul(shifted, column if column.type is F32 else cast(column, F32))
            total = term if total is None else add(total, term)
        assert total is not None
        return reshape(cont(unary("SILU", total)), n_embd, n_stream, b.n_tokens)


def _stream_norm(b: Builder, il: int, name: str, x: Node, streams: Node) -> Node:
    shaped = reshape(x, *streams.ne)
    return mul(rms_norm(shaped), b.need(il, f"ple_norm_{name}.weight"))

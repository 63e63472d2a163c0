"""MiniMax M3: attention over the blocks of positions that an indexer ranks highest (src/models/minimax-m3.cpp)."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph import decoder
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.inputs import AttentionInput
from omniplan.llamacpp.graph.linear import layer_norm, project, scaled
from omniplan.llamacpp.graph.moe import Gating, Moe, Shared
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import (
    F16,
    F32,
    I32,
    I64,
    add,
    add_inplace,
    arange,
    cast,
    concat,
    cont,
    flash_attn_ext,
    get_rows,
    mul_mat,
    pool_2d,
    repeat,
    rope,
    scale,
    set_rows,
    top_k,
)
from omniplan.llamacpp.graph.recipe import Inputs, QkNorm, Recipe
from omniplan.llamacpp.graph.views import (
    is_contiguous,
    permute,
    reshape,
    swap_middle,
    transpose,
    view_1d,
    view_2d,
    view_3d,
    view_4d,
)

# llama-kv-cache-msa.cpp:get_n_pos: positions are counted in steps of this many; buffers are reserved for one step.
_POSITIONS: Final = 256


class BlockAttention:
    """Attention of the layers of one graph: dense in the leading ones, over ranked blocks of positions in the others.

    Everything is dense without flash attention and when several sequences share one cache.
    """

    def __init__(self, b: Builder) -> None:
        h, context, n = b.hparams, b.context, b.n_tokens
        self._is_on = context.flash_attn and (context.n_seq_max == 1 or context.n_stream > 1)
        self._n_kv = context.n_ctx_seq
        self._streams = context.n_stream
        self._size = size = max(b.count("attention.indexer.block_size"), 1)
        self._positions = (_POSITIONS + size - 1) & -size
        self._blocks = self._positions // size
        self._chosen = min(h.indexer_top_k, self._blocks)
        self._decodes = n == self._streams
        self._k_idxs = b.input("attn_inp_k_idxs", I64, n)
        self._bias = b.input("msa_bias", F32, self._blocks, n)
        self._visible = b.input("msa_pos_mask", F32, self._positions, n)
        self._cells = b.input("msa_pos_slot_i", I32, self._positions, self._streams)
        self._cells_f32 = b.input("msa_pos_slot_f", F32, self._positions, self._streams)
        self._block_of_cell = b.input("msa_cell_blk", I32, self._n_kv, self._streams)
        self._mask: Node | None = None

    def __call__(self, b: Builder, recipe: Recipe, inputs: Inputs, il: int, x: Node) -> Node:
        """Attention of layer ``il``, projected."""
        if not self._is_on or il < b.hparams.n_layer_dense_lead:
            return decoder.attention(b, recipe, inputs, il, x)
        assert inputs.attention is not None
        q, k, v = attn.qkv_of(b, il, x)
        q, k = (layer_norm(b, il, f"attn_{part}_norm", y) for part, y in (("q", q), ("k", k)))
        q, k = rope(q, inputs.positions), rope(k, inputs.positions)
        ranker = self._index(b, inputs, il, x)
        q, keys, values = _stored(b, inputs.attention, il, q, k, v)
        index_keys = attn.cache_view(b.cache("idx_k", il), b.hparams.indexer_head_size, 1)
        if self._decodes:
            result = self._of_tokens(q, keys, values, ranker, index_keys)
        else:
            self._mask = self._mask or cast(inputs.attention.base.mask, F32)
            parts = [self._of_stream(i, q, keys, values, ranker, index_keys, self._mask) for i in range(self._streams)]
            result = parts[0]
            for part in parts[1:]:
                result = concat(result, part, 1)
        back = inputs.attention.base.v_rot
        return project(b, il, "attn_output", result if back is None else attn.rotated(result, back), bias=False)

    def _index(self, b: Builder, inputs: Inputs, il: int, x: Node) -> Node:
        """Index queries of the batch; its index keys are stored."""
        size, heads, n = b.hparams.indexer_head_size, b.hparams.indexer_n_head, b.n_tokens
        made = []
        for part, count in (("q", heads), ("k", 1)):
            y = scaled(b.need(il, f"indexer.{part}_proj.weight"), x, None)
            y = layer_norm(b, il, f"indexer.{part}_norm", reshape(y, size, count, n))
            made.append(rope(y, inputs.positions))
        b.graph.expand(attn.store_rows(b.cache("idx_k", il), made[1], self._k_idxs))
        return made[0]

    def _of_tokens(self, q: Node, k: Node, v: Node, ranker: Node, index_keys: Node) -> Node:
        """One token per stream: the chosen blocks are gathered, group and stream share a dimension."""
        n_kv_head, groups, ns = k.ne[1], ranker.ne[1], self._streams
        width = self._size * self._chosen
        position = self._positions_of(self._ranked_by_token(ranker, index_keys))
        row = self._rows_of(position, n_kv_head, groups)
        keys, values = (self._gathered(cache, row, width, groups) for cache in (k, v))
        shown = get_rows(reshape(self._visible, 1, self._positions, ns), position)
        mask = cast(reshape(shown, width, 1, 1, groups * ns), F16)
        return _grouped(q, keys, values, mask, q.ne[1] // n_kv_head)

    def _ranked_by_token(self, ranker: Node, index_keys: Node) -> Node:
        """Indices of the best blocks: [chosen, groups, 1, streams]."""
        dim, groups, ns, n_ps = ranker.ne[0], ranker.ne[1], self._streams, self._positions
        keys = view_3d(index_keys, dim, index_keys.ne[2], ns, index_keys.nb[2], index_keys.nb[3])
        keys = reshape(get_rows(keys, self._cells), dim, n_ps, 1, ns)
        scores = mul_mat(keys, reshape(ranker, dim, groups, 1, ns))
        scores = add_inplace(scores, reshape(self._visible, n_ps, 1, 1, ns))
        ranks = add(pool_2d(scores, self._blocks, groups), reshape(self._bias, self._blocks, 1, 1, ns))
        return top_k(ranks, self._chosen)

    def _positions_of(self, blocks: Node) -> Node:
        """All positions of the chosen blocks, one row per stream."""
        size, n, groups, ns = self._size, self._chosen, blocks.ne[1], self._streams
        first = reshape(scale(cast(blocks, F32)), 1, n, groups, ns)
        spots = add(repeat(first, (size, n, groups, ns)), reshape(arange(size), size))
        return cast(reshape(spots, size * n * groups, ns), I32)

    def _rows_of(self, position: Node, n_kv_head: int, groups: int) -> Node:
        """The cache row of every position and group."""
        size, n, ns = self._size, self._chosen, self._streams
        cells = get_rows(reshape(self._cells_f32, 1, self._positions, ns), position)
        cells = scale(reshape(cells, size, n, groups, ns))
        rows = add(cells, reshape(arange(n_kv_head), 1, 1, groups))
        return cast(reshape(rows, size * n * groups, ns), I32)

    def _gathered(self, cache: Node, row: Node, width: int, groups: int) -> Node:
        """Rows of K or V: [head, width, 1, groups * streams]."""
        dim, n_kv_head, n_kv, ns = cache.ne
        flat = view_3d(cache, dim, n_kv_head * n_kv, ns, cache.nb[1], cache.nb[3])
        part = reshape(get_rows(flat, row), dim, width, 1, groups * ns)
        kind = F16 if cache.type.is_quantized else cache.type
        return part if part.type is kind else cast(part, kind)

    def _of_stream(self, i: int, q: Node, k: Node, v: Node, ranker: Node, index_keys: Node, mask: Node) -> Node:
        """Many tokens of stream ``i``: the blocks that were not chosen are masked."""
        n_kv, n_head, groups = k.ne[2], q.ne[1], ranker.ne[1]
        n = q.ne[2] // self._streams
        bias = self._bias
        bias = view_3d(bias, self._blocks, 1, n, bias.nb[1], bias.nb[1], i * n * bias.nb[1])
        chosen = self._ranked(i, n, ranker, index_keys, bias)
        hidden = self._block_mask(chosen, bias, groups, n)
        of_cell = view_1d(self._block_of_cell, n_kv, i * self._block_of_cell.nb[1])
        by_cell = get_rows(cont(transpose(reshape(hidden, self._blocks, n * groups))), of_cell)
        by_cell = reshape(cont(transpose(by_cell)), n_kv, n, groups)
        by_cell = add_inplace(by_cell, view_3d(mask, n_kv, n, 1, mask.nb[1], mask.nb[3], i * mask.nb[3]))
        shown = cast(reshape(by_cell, n_kv, n, 1, groups), F16)
        own_q = view_3d(q, q.ne[0], n_head, n, q.nb[1], q.nb[2], i * n * q.nb[2])
        own = [
            permute(view_4d(cache, (*cache.ne[:3], 1), *cache.nb[1:], i * cache.nb[3]), 0, 3, 1, 2) for cache in (k, v)
        ]
        return _grouped(own_q, own[0], own[1], shown, n_head // k.ne[1])

    def _ranked(self, i: int, n: int, ranker: Node, index_keys: Node, bias: Node) -> Node:
        """Indices of the best blocks: [chosen, groups, n]."""
        dim, groups = ranker.ne[0], ranker.ne[1]
        queries = view_3d(ranker, dim, groups, n, ranker.nb[1], ranker.nb[2], i * n * ranker.nb[2])
        keys = view_2d(index_keys, dim, index_keys.ne[2], index_keys.nb[2], i * index_keys.nb[3])
        keys = get_rows(keys, view_1d(self._cells, self._positions, i * self._cells.nb[1]))
        scores = reshape(mul_mat(keys, reshape(queries, dim, groups * n)), self._positions, groups, n)
        nb1 = self._visible.nb[1]
        visible = view_3d(self._visible, self._positions, 1, n, nb1, nb1, i * n * nb1)
        scores = add_inplace(scores, visible)
        return top_k(add(pool_2d(scores, self._blocks, groups), bias), self._chosen)

    def _block_mask(self, chosen: Node, bias: Node, groups: int, n: int) -> Node:
        """Zero where a block was chosen, else minus infinity: [blocks, n, groups]."""
        hidden = repeat(cast(scale(bias), F16), (self._blocks, groups, n, 1))
        zeros = reshape(scale(cast(chosen, F32)), 1, self._chosen, groups * n)
        mask = set_rows(reshape(hidden, 1, self._blocks, groups * n), zeros, reshape(chosen, self._chosen, groups * n))
        return cont(swap_middle(reshape(mask, self._blocks, groups, n)))


def _stored(b: Builder, given: AttentionInput, il: int, q: Node, k: Node, v: Node) -> tuple[Node, Node, Node]:
    """Q, and all cached keys and values once those of the batch are stored."""
    cache = given.base
    if cache.k_rot is not None:
        q, k = attn.rotated(q, cache.k_rot), attn.rotated(k, cache.k_rot)
    if cache.v_rot is not None:
        v = attn.rotated(v, cache.v_rot)
    for node in (q, k, v):
        b.graph.expand(node)
    assert cache.v_idxs is not None
    b.graph.expand(attn.store_rows(b.cache("k", il), k, cache.k_idxs))
    b.graph.expand(attn.store_rows(b.cache("v", il), v, cache.v_idxs))
    return q, attn.cached_k(b, il), attn.cached_v(b, il)


def _grouped(q: Node, k: Node, v: Node, mask: Node, group: int) -> Node:
    """Flash attention with the groups of heads in the last dimension: [n_embd, n_tokens]."""
    dim, n_head, n, _ = q.ne
    channels = k.ne[3]
    q = permute(reshape(q, dim, group, channels, n_head * n // (group * channels)), 0, 2, 3, 1)
    result = permute(flash_attn_ext(q, k, v, mask), 0, 1, 3, 2)
    return reshape(result if is_contiguous(result) else cont(result), dim * n_head, n)


def build(b: Builder) -> None:
    """MiniMax M3."""
    recipe = Recipe(
        qk_norm=QkNorm.BEFORE,
        act="SWIGLU_OAI",
        moe=Moe(
            act="SWIGLU_OAI", gating=Gating.SIGMOID, gating_key=True, norm=None, weights_scale=True, shared=Shared.PLAIN
        ),
        attention=BlockAttention(b),
    )
    decoder.build(b, recipe)

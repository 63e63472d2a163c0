"""GLM 5.3: KDA and pooled sparse latent attention between hyper-connected streams (src/models/glm5-next.cpp)."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph import decoder, hyper, pooled
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.families.deepseek2 import lead_dense_feed
from omniplan.llamacpp.graph.families.kimi_linear import Kda, kda
from omniplan.llamacpp.graph.kernels import lightning_indexer
from omniplan.llamacpp.graph.linear import layer_norm
from omniplan.llamacpp.graph.moe import KEYED
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import (
    F32,
    I32,
    add,
    argsort,
    cast,
    concat,
    cont,
    f32,
    get_rows,
    mul,
    mul_mat,
    scale,
    soft_max,
    sum_rows,
    top_k,
    unary,
)
from omniplan.llamacpp.graph.recipe import Inputs, Recipe
from omniplan.llamacpp.graph.views import permute, reshape, swap_middle, transpose, view_2d, view_3d, view_4d

_KDA: Final = Kda(decay="bounded_negated")
_RECIPE: Final = Recipe(
    keys_only=True,
    moe=KEYED,
    output_scale=False,
    output_bias=False,
)


def build(b: Builder) -> None:
    """The whole decoder."""
    x = decoder.embed(b, _RECIPE)
    inputs, sparse = decoder.shared_inputs(b, _RECIPE), _PooledAttention(b)
    x = hyper.streams(b, x)
    for il in range(b.hparams.n_layer):
        cur, spread = hyper.enter(b, il, "attn", x)
        cur = layer_norm(b, il, "attn_norm", cur)
        b.graph.expand(cur)
        is_linear = b.hparams.is_recr[il]
        cur = kda(b, _KDA, inputs.recurrent, il, cur) if is_linear else sparse(b, inputs, il, cur)
        x = hyper.leave(b, cur, x, spread)
        cur, spread = hyper.enter(b, il, "ffn", x)
        cur = lead_dense_feed(b, _RECIPE, il, layer_norm(b, il, "ffn_norm", cur))
        x = hyper.leave(b, cur, x, spread)
    decoder.head(b, _RECIPE, hyper.mean(hyper.selected(x, inputs.out_ids)))


class _PooledAttention:
    """Latent attention over the pools an indexer selects; layers without one share the last selection."""

    def __init__(self, b: Builder) -> None:
        self.given = pooled.pool_input(b)
        self.tail = b.flag("attention.indexer.kpool_select_tail")
        count = self.given.size * pooled.n_chosen(b, self.given) + (self.given.size - 1 if self.tail else 0)
        self.live = b.input("gather_mask", F32, count, 1, 1, b.n_tokens)
        b.graph.expand(self.live)
        self.selection: Node | None = None

    def __call__(self, b: Builder, inputs: Inputs, il: int, x: Node) -> Node:
        """``build_dsa_layer``, output projection included."""
        h, n = b.hparams, b.n_tokens
        assert inputs.attention is not None
        base = inputs.attention.base
        latent_q = layer_norm(b, il, "attn_q_a_norm", mul_mat(b.need(il, "attn_q_a.weight"), x))
        q = mul_mat(b.need(il, "attn_q_b.weight"), latent_q)
        q = swap_middle(reshape(q, h.n_embd_head_k_mla, h.n_head[il], n))
        q = swap_middle(mul_mat(b.need(il, "attn_k_b.weight"), q))
        row = layer_norm(b, il, "attn_kv_a_norm", mul_mat(b.need(il, "attn_kv_a_mqa.weight"), x))
        row = reshape(row, h.n_lora_kv, 1, n)
        if h.is_indexer_full[il]:
            self.selection = self._select(b, il, x, latent_q, base.mask)
        assert self.selection is not None
        for node in (q, row, attn.store_rows(b.cache("k", il), row, base.k_idxs)):
            b.graph.expand(node)
        if pooled.gathers(b):
            b.graph.expand(base.mask)
            result = self._gathered(b, il, q, self.selection)
        else:
            k = attn.cached_k(b, il)
            v = view_4d(k, (h.n_lora_kv, *k.ne[1:]), *k.nb[1:])
            mask = reshape(self.selection, *base.mask.ne)
            result = attn.attend(b, il, q, k, v, mask, v_mla=b.need(il, "attn_v_b.weight"))
        return mul_mat(b.need(il, "attn_output.weight"), result)

    def _select(self, b: Builder, il: int, x: Node, latent_q: Node, mask: Node) -> Node:
        """A mask of the selected cells, or the cells themselves where they are gathered (``build_kpool_select``)."""
        n, given = b.n_tokens, self.given
        score = self._scores(b, il, x, latent_q)
        cells = pooled.cells_of(given, _best_first(score, pooled.n_chosen(b, given)), tail=self.tail)
        if pooled.gathers(b):
            return cells
        b.graph.expand(cells)
        live = unary("EXP", reshape(self.live, self.live.ne[0], n))
        shown = pooled.scattered(mask, cells, live, f32("ARANGE", (cells.ne[0], 1, 1, 1), ()))
        return add(view_2d(shown, mask.ne[0], n, shown.nb[2]), reshape(mask, mask.ne[0], n))

    def _scores(self, b: Builder, il: int, x: Node, latent_q: Node) -> Node:
        head, heads, n = b.hparams.indexer_head_size, b.hparams.indexer_n_head, b.n_tokens
        q = reshape(mul_mat(b.need(il, "indexer.attn_q_b.weight"), latent_q), head, heads, n)
        k = layer_norm(b, il, "indexer.k_norm", mul_mat(b.need(il, "indexer.attn_k.weight"), x), "layer")
        gate = mul_mat(b.need(il, "indexer_compressor_gate.weight"), x)
        rows = pooled.new_rows(b, self.given, il, concat(k, gate, 0))
        keys = pooled.pooled_keys(b, self.given, il, _pool(b, il, rows))
        weights = scale(mul_mat(b.need(il, "indexer.proj.weight"), x))
        return lightning_indexer(q, keys, weights, self.given.mask)

    def _gathered(self, b: Builder, il: int, q: Node, cells: Node) -> Node:
        """Attention of every token over its own copy of the selected rows."""
        n_sel, n = cells.ne[0], cells.ne[1]
        cache = b.cache("k", il)
        rows = view_2d(cache, cache.ne[0], cache.ne[1] * cache.ne[2], cache.nb[1])
        k = reshape(get_rows(rows, reshape(cells, n_sel * n)), cache.ne[0], n_sel, 1, n)
        scores = soft_max(mul_mat(k, permute(q, 0, 2, 3, 1)), self.live)
        result = mul_mat(b.need(il, "attn_v_b.weight"), mul_mat(cont(transpose(k)), scores))
        return reshape(cont(swap_middle(result)), result.ne[0] * b.hparams.n_head[il], n)


def _pool(b: Builder, il: int, rows: Node) -> Node:
    """Keys of a pool's members weighted by a soft-max of their gates, channel by channel: [head, n_pools]."""
    head, (_, size, n_pools, _) = b.hparams.indexer_head_size, rows.ne
    keys, gates = (view_3d(rows, head, size, n_pools, rows.nb[1], rows.nb[2], i * head * rows.nb[0]) for i in (0, 1))
    logits = cont(permute(add(gates, b.need(il, "indexer_compressor_ape.weight")), 1, 0, 2, 3))
    weights = reshape(soft_max(reshape(logits, size, head * n_pools)), size, head, n_pools)
    return reshape(sum_rows(mul(weights, cont(permute(keys, 1, 0, 2, 3)))), head, n_pools)


def _best_first(score: Node, count: int) -> Node:
    """Indices of the ``count`` best pools of every token, in order."""
    n_pool, n = score.ne[0], score.ne[1]
    chosen = top_k(score, count)
    order = argsort(reshape(get_rows(reshape(score, 1, n_pool, n), chosen), count, n))
    chosen = get_rows(reshape(cast(chosen, F32), 1, count, n), order)
    return cast(cont(reshape(chosen, count, n)), I32)

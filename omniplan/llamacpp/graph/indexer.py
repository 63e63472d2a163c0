"""The lightning indexer: which cached positions an attention layer looks at (DeepSeek sparse attention).

Upstream: the indexer blocks of src/models/deepseek32.cpp and its relatives; src/llama-graph.cpp:build_attn of
``llm_graph_input_attn_k_dsa``, build_attn_inp_k_dsa_impl.
"""

from __future__ import annotations

from dataclasses import dataclass

from omniplan.domain.tensor_type import TensorType
from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph import inputs as inp
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.kernels import lightning_indexer
from omniplan.llamacpp.graph.linear import layer_norm
from omniplan.llamacpp.graph.node import Dims, Node, strides
from omniplan.llamacpp.graph.ops import (
    F32,
    I64,
    add,
    concat,
    cont,
    fill,
    mul,
    mul_mat,
    rope,
    scale,
    set_rows,
    sum_rows,
    unary,
)
from omniplan.llamacpp.graph.ops import top_k as largest
from omniplan.llamacpp.graph.views import permute, reshape, swap_middle, view_3d, view_4d

_CACHE = "lid_k"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexerInput:
    """Where index keys go, which cells count, and the rotation of queries and keys (None: not rotated)."""

    k_idxs: Node
    mask: Node
    rotation: Node | None


def indexer_input(b: Builder, *, rotate: bool = True) -> IndexerInput:
    """Inputs of every indexer; its kernel wants the mask in half precision."""
    size, head = inp.SMALLEST_ROTATION, b.hparams.indexer_head_size
    while head and head % (2 * size) == 0:
        size *= 2
    return IndexerInput(
        k_idxs=b.input("attn_inp_k_idxs", I64, b.n_tokens),
        mask=inp.mask(b, b.context.n_ctx_seq, half=b.context.build.rules.fuses_indexers),
        rotation=b.input("attn_inp_k_rot", F32, size, size) if rotate else None,
    )


def indexed(b: Builder, given: IndexerInput, il: int, x: Node, latent_q: Node, positions: Node) -> Node:
    """Indices of the best cells of every token: [top_k, n_tokens, 1, n_stream]. The layer's index keys are stored."""
    h, n = b.hparams, b.n_tokens
    size, heads = h.indexer_head_size, h.indexer_n_head
    q = reshape(mul_mat(b.need(il, "indexer.attn_q_b.weight"), latent_q), size, heads, n)
    k = layer_norm(b, il, "indexer.k_norm", mul_mat(b.need(il, "indexer.attn_k.weight"), x), "layer")
    q, k = _positioned(b, il, q, positions), _positioned(b, il, reshape(k, size, 1, n), positions)
    if given.rotation is not None:
        q, k = mul_mat(given.rotation, q), mul_mat(given.rotation, k)
    b.graph.expand(attn.store_rows(b.cache(_CACHE, il), k, given.k_idxs))
    weights = mul_mat(b.need(il, "indexer.proj.weight"), x)
    keys = attn.cache_view(b.cache(_CACHE, il), size, 1)
    return best(b, q, keys, scale(by_stream(weights, keys.ne[3])), given.mask)


def _positioned(b: Builder, il: int, x: Node, positions: Node) -> Node:
    """``x`` [head, n, n_tokens] with rotary positions at its beginning."""
    if b.context.build.rules.fuses_indexers:
        return rope(x, positions)
    size, heads, n = x.ne[:3]
    n_rope, row = b.hparams.n_rot[il], x.type.row_size(size)
    first = view_3d(x, n_rope, heads, n, row, row * heads)
    rest = view_3d(x, size - n_rope, heads, n, row, row * heads, x.type.row_size(n_rope))
    return concat(rope(first, positions), rest, 0)


def by_stream(weights: Node, n_stream: int) -> Node:
    """Head weights [n_head, n_tokens] with the streams apart."""
    ne, nb = weights.ne, weights.nb
    return view_4d(weights, (ne[0], ne[1] // n_stream, ne[2], n_stream), nb[1], nb[2] // n_stream, nb[3] // n_stream)


def best(b: Builder, q: Node, keys: Node, weights: Node, mask: Node) -> Node:
    """Indices of the highest scores among ``keys``."""
    n_stream, ne, nb = keys.ne[3], q.ne, q.nb
    q = view_4d(q, (ne[0], ne[1], ne[2] // n_stream, n_stream), nb[1], nb[2], nb[3] // n_stream)
    is_fused = b.context.build.rules.fuses_indexers
    score = lightning_indexer(q, keys, weights, mask) if is_fused else _scores(q, keys, weights, mask)
    return cont(largest(score, min(score.ne[0], b.hparams.indexer_top_k)))


def _scores(q: Node, keys: Node, weights: Node, mask: Node) -> Node:
    """What the fused kernel computes, by plain operations, as builds before it did."""
    products = cont(permute(mul_mat(swap_middle(keys), swap_middle(q)), 2, 1, 0, 3))
    summed = sum_rows(mul(unary("RELU", products), weights))
    return add(cont(permute(summed, 2, 1, 0, 3)), mask)


def sparse_mask(mask: Node, chosen: Node, kind: TensorType = F32) -> Node:
    """``mask`` with everything but the ``chosen`` cells hidden; ``kind`` is the type of the zeros written there."""
    ne, k = mask.ne, chosen
    hidden = fill(mask)
    hidden = view_4d(hidden, (1, ne[0], ne[1], ne[3]), *hidden.nb[:3])
    ids = view_4d(k, (k.ne[0], k.ne[1], k.ne[3], 1), k.nb[1], k.nb[2], k.ne[3] * k.nb[3])
    shape: Dims = (1, *ids.ne[:3])
    zeros = fill(Node("NONE", kind, shape, strides(kind, shape)))
    shown = set_rows(hidden, zeros, ids)
    shown = view_4d(shown, (shown.ne[1], shown.ne[2], 1, shown.ne[3]), shown.nb[2], shown.nb[3], shown.nb[3])
    return add(shown, mask)

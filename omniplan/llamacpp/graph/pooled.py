"""The pooled indexer: attention sees only the pools of consecutive tokens whose pooled keys score best.

Rows of the cache "idx_k" hold what a token adds to its pool, then the pooled key of the pool that the token ends.
Graphs are reserved as if every pool were complete and had to be pooled again. Upstream: build_inp_kpool and its users
in src/models/glm5-next.cpp and qwen4exp.cpp; src/llama-memory-hybrid-idx.cpp:kpool_pad, kpool_access.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from omniplan.domain.tensor_type import TensorType
from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.node import Dims, Node, strides
from omniplan.llamacpp.graph.ops import (
    F16,
    F32,
    I32,
    I64,
    add,
    cast,
    concat,
    fill,
    get_rows,
    mul,
    repeat,
    set_rows,
    sub,
)
from omniplan.llamacpp.graph.views import reshape, view_2d
from omniplan.units import pad

_CACHE: Final = "idx_k"
_POOL_PAD: Final = 64
# Micro-batches up to this size gather the selected rows instead of masking the others.
_GATHER_TOKENS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolInput:
    """Which cells form which pool, and which pools each token may select (``llm_graph_input_kpool``)."""

    k_idxs: Node
    cells: Node
    members: Node
    mask: Node
    tail: Node
    new_members: Node
    new_cells: Node

    @property
    def size(self) -> int:
        """Tokens of a pool."""
        return self.members.ne[0]

    @property
    def n_pool(self) -> int:
        """Pools, padded."""
        return self.cells.ne[0]


def pool_input(b: Builder) -> PoolInput:
    """Inputs of every pooled indexer; the host fills them even if no operation reads them."""
    size, n = b.hparams.indexer_kpool, b.n_tokens
    n_new = max(1, n_complete(b))
    n_pool = max(_POOL_PAD, pad(n_complete(b) + 1, _POOL_PAD))
    given = PoolInput(
        k_idxs=b.input("attn_inp_k_idxs", I64, n),
        cells=b.input("pool_cells", I32, n_pool),
        members=b.input("pool_idxs", I32, size, n_pool),
        mask=b.input("pool_mask", F16, n_pool, n),
        tail=b.input("tail_idxs", I32, size - 1, n),
        new_members=b.input("new_pool_idxs", I32, size, n_new),
        new_cells=b.input("new_pool_rep", I64, n_new),
    )
    for node in (given.cells, given.members, given.mask, given.tail):
        b.graph.expand(node)
    return given


def n_complete(b: Builder) -> int:
    """Pools that full caches of all sequences hold."""
    return b.context.n_ctx_seq // b.hparams.indexer_kpool * b.context.n_seq_max


def gathers(b: Builder) -> bool:
    """Whether selected rows are copied out instead of masking the others."""
    h = b.hparams
    return b.context.n_ubatch <= _GATHER_TOKENS and b.context.n_ctx > h.indexer_top_k + h.indexer_kpool - 1


def n_chosen(b: Builder, given: PoolInput) -> int:
    """Pools that a token selects."""
    return min(given.n_pool, b.hparams.indexer_top_k // given.size)


def new_rows(b: Builder, given: PoolInput, il: int, parts: Node) -> Node:
    """Stores ``parts`` [width, n_tokens] with room for a pooled key; what members of new pools stored."""
    head, n, width = b.hparams.indexer_head_size, b.n_tokens, parts.ne[0]
    packed = concat(parts, fill(blank(F32, (head, n, 1, 1))), 0)
    cache = b.cache(_CACHE, il)
    b.graph.expand(attn.store_rows(cache, reshape(packed, width + head, 1, n), given.k_idxs))
    n_new = given.new_members.ne[1]
    stored = view_2d(cache, width, cache.ne[1] * cache.ne[2], cache.nb[1])
    rows = get_rows(stored, reshape(given.new_members, given.size * n_new))
    return reshape(rows, width, given.size, n_new)


def pooled_keys(b: Builder, given: PoolInput, il: int, fresh: Node) -> Node:
    """The pooled keys of all pools [head, 1, n_pool], ``fresh`` ones stored first."""
    head, cache = b.hparams.indexer_head_size, b.cache(_CACHE, il)
    offset = cache.type.row_size(cache.ne[0] - head)
    slots = view_2d(cache, head, cache.ne[1] * cache.ne[2], cache.nb[1], offset)
    b.graph.expand(set_rows(slots, fresh, given.new_cells))
    return reshape(get_rows(slots, given.cells), head, 1, given.n_pool)


def cells_of(given: PoolInput, chosen: Node, *, tail: bool) -> Node:
    """Cells of the ``chosen`` pools of every token [n_selected, n_tokens], with the incomplete pool's if ``tail``."""
    count, n = chosen.ne[0], chosen.ne[1]
    cells = reshape(get_rows(given.members, reshape(chosen, count * n)), given.size * count, n)
    return concat(cells, given.tail, 0) if tail else cells


def scattered(mask: Node, cells: Node, live: Node, dump: Node) -> Node:
    """Rows [n_kv + n_selected] that show ``cells`` alone; slots that are not ``live`` show a ``dump`` cell instead."""
    n_sel, n = cells.ne[0], cells.ne[1]
    hidden, zeros = (_constant(mask.type, width, n) for width in (mask.ne[0] + n_sel, n_sel))
    where = cast(cells, F32)
    where = cast(add(mul(sub(where, dump), live), dump), I32)
    return set_rows(hidden, zeros, reshape(where, n_sel, n))


def _constant(kind: TensorType, width: int, n: int) -> Node:
    row = fill(blank(kind, (width, 1, 1, 1)))
    return reshape(repeat(row, (width, n, 1, 1)), 1, width, n)


def blank(kind: TensorType, ne: Dims) -> Node:
    """A tensor without content."""
    return Node("NONE", kind, ne, strides(kind, ne))

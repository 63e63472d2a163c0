"""DeepSeek V4's compressed caches: one cell for every few tokens, and the state of unfinished cells.

Upstream: src/models/deepseek4.cpp:build_attention_impl, build_overlap_compressed_kv_from_state,
build_hca_compressed_kv_from_state; src/llama-kv-cache-dsv4.cpp:dsv4_build_reserve_comp_plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from omniplan.llamacpp.graph import attention as attn
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.inputs import SMALLEST_ROTATION
from omniplan.llamacpp.graph.linear import normed
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import (
    F16,
    F32,
    I32,
    I64,
    add,
    concat,
    cont,
    get_rows,
    mul,
    mul_mat,
    rope,
    scale,
    set_rows,
    soft_max,
    sum_rows,
)
from omniplan.llamacpp.graph.views import permute, reshape, view_1d, view_2d, view_4d
from omniplan.llamacpp.load.memory import CSA_RATIO, HCA_RATIO


@dataclass(frozen=True, slots=True, kw_only=True)
class Compressor:
    """One kind of compressed cache: ``part`` names its tensors, ``stem`` its weights.

    ``ratio`` tokens become one cell; with ``overlap`` a cell also reads the tokens of the one before.
    """

    part: str
    stem: str
    ratio: int
    overlap: bool

    @property
    def factor(self) -> int:
        """Rows read per token."""
        return 2 if self.overlap else 1


CSA = Compressor(part="csa", stem="attn_compressor", ratio=CSA_RATIO, overlap=True)
HCA = Compressor(part="hca", stem="attn_compressor", ratio=HCA_RATIO, overlap=False)
_PARTS: Final = ("kv", "score")
LID = Compressor(part="lid", stem="indexer_compressor", ratio=CSA_RATIO, overlap=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """Rows of a state and where they go."""

    source: Node
    target: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressorInput:
    """Which rows complete cells and which stay in the state, as reserved for the worst case.

    ``restored`` and ``snapshot`` are there where drafted tokens can be taken back: an earlier state that becomes the
    current one, and the states after the last tokens.
    """

    position: Node
    persist_from: Node
    persist_to: Node
    read: Node
    write: Node
    write_position: Node
    mask: Node
    rotation: Node | None
    restored: Moved | None = None
    snapshot: Moved | None = None


def n_streams(b: Builder) -> int:
    """Streams of a batch: these caches keep sequences apart even where the cache is unified."""
    return b.batch.n_seqs if b.context.n_seq_max > 1 else 1


def cells_mask(b: Builder, name: str, n_kv: int, *, half: bool) -> Node:
    """Which of ``n_kv`` cells each token sees."""
    n_stream = n_streams(b)
    return b.input(name, F16 if half else F32, n_kv, b.n_tokens // n_stream, 1, n_stream)


def rotation(b: Builder, head: int) -> Node | None:
    """The Hadamard matrix for rows of ``head`` elements: for quantised caches, and wherever index keys could be."""
    if head != b.hparams.indexer_head_size and (not b.context.type_k.is_quantized or head % SMALLEST_ROTATION):
        return None
    size = SMALLEST_ROTATION
    while head and head % (2 * size) == 0:
        size *= 2
    return b.input("attn_inp_k_rot", F32, size, size)


def compressor_input(b: Builder, kind: Compressor, n_kv: int, head: int) -> CompressorInput:
    """Inputs of every layer with this kind of cache, ``n_kv`` cells of ``head`` elements."""
    n = b.n_tokens
    n_blocks = n // kind.ratio + b.batch.n_seqs
    kept = min(n, kind.factor * kind.ratio * b.context.n_seq_max)
    name = f"dsv4_{kind.part}"
    half = kind is LID or b.context.flash_attn
    n_rows = kind.factor * kind.ratio * b.context.n_seq_max
    is_kept = b.context.n_rs_seq > 0
    return CompressorInput(
        restored=_moved(b, f"{name}_state_restore", n_rows) if is_kept else None,
        snapshot=_moved(b, f"{name}_state_snapshot", n_rows * b.context.n_rs_seq) if is_kept else None,
        position=b.input(f"{name}_state_pos", I32, n),
        persist_from=b.input(f"{name}_state_persist_src_idxs", I32, kept),
        persist_to=b.input(f"{name}_state_persist_dst_idxs", I32, kept),
        read=b.input(f"{name}_state_read_idxs", I32, kind.factor * kind.ratio * n_blocks),
        write=b.input(f"{name}_state_write_idxs", I64, n_blocks),
        write_position=b.input(f"{name}_state_write_pos", I32, n_blocks),
        mask=cells_mask(b, f"{name}_kq_mask", n_kv, half=half),
        rotation=rotation(b, head),
    )


def _moved(b: Builder, name: str, n_rows: int) -> Moved:
    return Moved(source=b.input(f"{name}_src_idxs", I32, n_rows), target=b.input(f"{name}_dst_idxs", I32, n_rows))


def compress(b: Builder, kind: Compressor, given: CompressorInput, il: int, x: Node, head: int) -> None:
    """Store the cells that this batch completes, then the rows of those it does not."""
    rows = mul_mat(b.need(il, f"{kind.stem}_kv.weight"), x)
    scores = mul_mat(b.need(il, f"{kind.stem}_gate.weight"), x)
    scores = add(scores, get_rows(b.need(il, f"{kind.stem}_ape.weight"), given.position))
    pooled = _overlapping if kind.overlap else _separate
    states = [_restored(b, kind, given, part, il) for part in _PARTS]
    n_rows = kind.factor * kind.ratio * b.context.n_seq_max
    current = (view_2d(state, state.ne[0], n_rows, state.nb[1]) for state in states)
    cells = pooled(kind, given, head, *(concat(old, new, 1) for old, new in zip(current, (rows, scores), strict=True)))
    cells = cont(permute(sum_rows(cells), 1, 0, 2, 3))
    cells = normed("rms", cells, b.need(il, f"{kind.stem}_norm.weight"), None, il)
    cells = rope(cells, given.write_position)
    if given.rotation is not None:
        cells = attn.rotated(cells, given.rotation)
    b.graph.expand(attn.store_rows(b.cache(f"{kind.part}_k", il), cells, given.write))
    news = tuple(zip(_PARTS, states, (rows, scores), strict=True))
    if given.snapshot is not None:
        for part, state, new in news:
            b.graph.expand(_written(b, kind, part, il, concat(state, new, 1), given.snapshot))
    last = Moved(source=given.persist_from, target=given.persist_to)
    for part, _, new in news:
        b.graph.expand(_written(b, kind, part, il, new, last))


def compressed_k(b: Builder, kind: Compressor, il: int, head: int) -> Node:
    """All cells of the layer: [head, 1, n_kv, n_stream]."""
    keys = attn.cache_view(b.cache(f"{kind.part}_k", il), head, 1)
    return view_4d(keys, keys.ne, *keys.nb[1:])


def _state(cache: Node) -> Node:
    """The rows of a state, all streams in one matrix."""
    return view_2d(cache, cache.ne[0], cache.ne[1] * cache.ne[2], cache.nb[1])


def _restored(b: Builder, kind: Compressor, given: CompressorInput, part: str, il: int) -> Node:
    state = _state(b.cache(f"{kind.part}_{part}", il))
    return state if given.restored is None else _written(b, kind, part, il, state, given.restored)


def _written(b: Builder, kind: Compressor, part: str, il: int, rows: Node, moved: Moved) -> Node:
    """The state with some of ``rows`` written into it."""
    return set_rows(_state(b.cache(f"{kind.part}_{part}", il)), get_rows(rows, moved.source), moved.target)


def _overlapping(kind: Compressor, given: CompressorInput, head: int, rows: Node, scores: Node) -> Node:
    """Weighted rows of every cell: the left halves of the tokens before, the right halves of its own."""
    rows, scores = _with_empty(rows), _with_empty(scores)
    values, weights = (_halves(kind, get_rows(of, given.read), head) for of in (rows, scores))
    return mul(values, soft_max(weights))


def _separate(kind: Compressor, given: CompressorInput, head: int, rows: Node, scores: Node) -> Node:
    """Weighted rows of every cell."""
    parts = []
    for of in (rows, scores):
        part = get_rows(of, given.read)
        parts.append(_columns(reshape(part, head, kind.ratio, part.ne[1] // kind.ratio)))
    return mul(parts[0], soft_max(parts[1]))


def _halves(kind: Compressor, rows: Node, head: int) -> Node:
    n = rows.ne[1] // 2
    n_blocks = n // kind.ratio
    before = reshape(cont(view_2d(rows, head, n, rows.nb[1])), head, kind.ratio, n_blocks)
    offset = n * rows.nb[1] + rows.type.row_size(head)
    own = reshape(cont(view_2d(rows, head, n, rows.nb[1], offset)), head, kind.ratio, n_blocks)
    return _columns(concat(before, own, 1))


def _columns(x: Node) -> Node:
    return cont(permute(x, 1, 0, 2, 3))


def _with_empty(x: Node) -> Node:
    """A row that adds nothing, for cells without a predecessor."""
    return concat(x, reshape(scale(view_1d(x, x.ne[0])), x.ne[0], 1), 1)

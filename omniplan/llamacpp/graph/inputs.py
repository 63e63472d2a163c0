"""Graph inputs: token embeddings, positions, output rows, attention masks and cache indices, recurrent state indices.

Upstream: src/llama-graph.cpp:build_inp_*, build_attn_inp_*, build_rs_inp; src/llama-kv-cache.cpp:build_input_*.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.linear import factors
from omniplan.llamacpp.graph.node import Dims, Node
from omniplan.llamacpp.graph.ops import (
    F16,
    F32,
    I32,
    I64,
    add,
    cast,
    cont,
    dup,
    get_rows,
    mul,
    mul_mat,
    pad,
    scale,
    set_rows,
)
from omniplan.llamacpp.graph.views import is_contiguous, view_1d, view_2d
from omniplan.units import pad as padded

# src/llama-kv-cache.cpp: rows of quantised caches are rotated in blocks, of this many elements at least.
SMALLEST_ROTATION: Final = 64
# Rows of K and V that attention without a cache is padded to a multiple of, where it is.
PADDED_ROWS: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Deepstack:
    """Vector inputs with ``n_slots`` further rows beside the embedding.

    ``slot_of`` says which row joins the residual before each layer: 0 is the embedding itself, -1 none.
    """

    n_slots: int
    slot_of: tuple[int, ...]


def embeddings(
    b: Builder,
    *,
    scale_tokens: bool = False,
    factor: float | None = None,
    deepstack: Deepstack | None = None,
    chosen: Node | None = None,
) -> Node:
    """Token embeddings as the first layer reads them (``build_inp_embd``); ``chosen`` are the input rows, if known.

    ``scale_tokens``: token rows are multiplied by a constant through an input (gemma3). ``factor`` multiplies all rows,
    by default the header's ``embedding_scale``; deepstack models multiply their token rows only.
    """
    x = chosen_rows(b, deepstack) if chosen is None else chosen
    factor = b.number("embedding_scale") if factor is None else factor
    by_row = b.context.build.rules.scales_token_rows
    if factor and not (deepstack and by_row):
        x = scale(x if is_contiguous(x) else cont(x))
    if not by_row:
        b.graph.expand(x)
        return scale(x) if scale_tokens else x
    if scale_tokens or (factor not in (0.0, 1.0) and deepstack):
        rows = b.input("inp_scale_rows", F32, 1, b.n_tokens)
        x = mul(x if is_contiguous(x) else cont(x), rows)
    b.graph.expand(x)
    return x


def deepstack_row(b: Builder, chosen: Node, slot: int) -> Node:
    """Row ``slot`` of every token's wide vector input, ``chosen`` being its first."""
    n_embd = b.hparams.n_embd
    return view_2d(chosen, n_embd, b.n_tokens, chosen.nb[1], slot * n_embd * chosen.nb[0])


def chosen_rows(b: Builder, deepstack: Deepstack | None = None) -> Node:
    """The input selected from tokens, vectors, a mix of both; look-ups run on the CPU, beside the table."""
    n, n_embd = b.n_tokens, b.hparams.n_embd
    width = n_embd * (1 + deepstack.n_slots) if deepstack else n_embd
    branches = [
        _lookup(b, b.input("inp_tokens", I32, n), width),
        b.input("inp_embd", F32, width, n),
    ]
    if b.row.mixed_batch and b.context.build.rules.mixed_inputs:
        branches.append(_mixed(b, width))
    result = b.graph.select(branches, 0)
    return result if width == n_embd else view_2d(result, n_embd, n, result.nb[1])


def _lookup(b: Builder, ids: Node, width: int) -> Node:
    table = b.need_shared("token_embd.weight")
    rows = get_rows(table, ids)
    for first, second in factors(table):
        rows = add(rows, scale(mul_mat(second, get_rows(first, ids))))
    return rows if rows.ne[0] == width else pad(rows, width - rows.ne[0])


def _mixed(b: Builder, width: int) -> Node:
    n = b.n_tokens
    tokens, slots = b.input("inp_mixed_tokens", I32, n), b.input("inp_mixed_slots", I64, n)
    vectors = b.input("inp_mixed_embd", F32, width, n)
    return set_rows(dup(vectors), _lookup(b, tokens, width), slots)


def positions(b: Builder, per_token: int = 1) -> Node:
    """Positions of the tokens; ``per_token`` is 4 with multi-dimensional rotary embedding (``build_inp_pos``)."""
    return b.input("inp_pos", I32, b.n_tokens * per_token)


def position_count(b: Builder) -> int:
    """Positions per token: 4 when the header splits the rotary dimensions, else 1 (``use_mrope``)."""
    sections = b.model.key("rope.dimension_sections")
    is_split = isinstance(sections, tuple) and len(sections) > 1 and all(int(s) > 0 for s in sections[:2])
    return 4 if is_split else 1


def output_ids(b: Builder) -> Node:
    """Which rows become logits (``build_inp_out_ids``)."""
    return b.input("out_ids", I32, b.n_outputs)


def attention_scale(b: Builder) -> Node:
    """Temperature per token (``build_inp_attn_scale``)."""
    return b.input("inp_attn_scale", F32, 1, 1, b.n_tokens)


@dataclass(slots=True, kw_only=True)
class CacheInput:
    """Indices, mask and rotations of one KV cache; ``v_idxs`` is None when V is a view of K."""

    k_idxs: Node
    v_idxs: Node | None
    mask: Node
    k_rot: Node | None = None
    v_rot: Node | None = None


@dataclass(slots=True, kw_only=True)
class AttentionInput:
    """Inputs of all attention layers: the full cache, and the sliding-window one when the model has windows."""

    base: CacheInput
    sliding: CacheInput | None = None

    @property
    def keys_only(self) -> bool:
        """Whether the caches hold K alone (MLA)."""
        return self.base.v_idxs is None

    def of(self, b: Builder, il: int) -> CacheInput:
        """The inputs of the cache that layer ``il`` lives in."""
        return self.sliding if self.sliding is not None and b.hparams.is_swa[il] else self.base


def attention(b: Builder, *, keys_only: bool = False, sliding: bool | None = None) -> AttentionInput:
    """Attention inputs: ``build_attn_inp_kv``, ``_k``, ``_kv_iswa`` or ``_k_iswa``.

    ``sliding`` says whether there are two caches; by default, whether the model has a window.
    """
    windows = b.hparams.n_swa > 0 if sliding is None else sliding
    # Neither build_attn_inp_k nor build_inp_mem_hybrid_iswa asks for rotations.
    rotate = not b.cached_layers("r") if windows else not keys_only
    if not windows:
        return AttentionInput(base=cache_input(b, None, keys_only=keys_only, rotate=rotate))
    base, swa = (cache_input(b, is_swa, keys_only=keys_only, rotate=rotate) for is_swa in (False, True))
    return AttentionInput(base=base, sliding=swa)


def cache_input(b: Builder, is_swa: bool | None, *, keys_only: bool, rotate: bool) -> CacheInput:
    """Inputs of the sliding cache, of the full one, or of the only one (None); ``rotate``: if it is quantised."""
    h, context, n = b.hparams, b.context, b.n_tokens
    layers = [il for il in b.cached_layers() if is_swa is None or h.is_swa[il] is is_swa]
    rotate = rotate and context.build.rules.rotates_caches
    n_v_idxs = n * max(h.n_embd_v_gqa(il) for il in range(h.n_layer_all)) if context.v_transposed else n
    return CacheInput(
        k_idxs=b.input("attn_inp_k_idxs", I64, n),
        v_idxs=None if keys_only else b.input("attn_inp_v_idxs", I64, n_v_idxs),
        mask=mask(b, context.n_swa_cells if is_swa else context.n_ctx_seq),
        k_rot=_rotation(b, "k", [h.n_embd_head_k[il] for il in layers]) if rotate else None,
        v_rot=_rotation(b, "v", [h.n_embd_head_v[il] for il in layers]) if rotate and not keys_only else None,
    )


def mask(b: Builder, n_kv: int, name: str = "attn_inp_kq_mask", *, half: bool | None = None) -> Node:
    """Which of ``n_kv`` cells each token sees, per stream (``build_attn_inp_kq_mask``).

    ``half``: in half precision; by default with flash attention.
    """
    n_stream = b.context.n_stream if b.context.n_stream == 1 else b.batch.n_seqs
    is_half = b.context.flash_attn if half is None else half
    return _mask(b, name, (n_kv, b.n_tokens // n_stream, 1, n_stream), is_half=is_half)


def _mask(b: Builder, name: str, ne: Dims, *, is_half: bool) -> Node:
    is_cast = is_half and b.context.build.rules.casts_masks
    given = b.input(name, F16 if is_half and not is_cast else F32, *ne)
    return cast(given, F16) if is_cast else given


def _rotation(b: Builder, part: str, heads: list[int]) -> Node | None:
    """The Hadamard matrix that spreads outliers before K or V is quantised, when every layer has one head size."""
    h = b.hparams
    kind, first = (b.context.type_k, h.n_embd_head_k[0]) if part == "k" else (b.context.type_v, h.n_embd_head_v[0])
    if not kind.is_quantized or len(set(heads)) != 1 or first % SMALLEST_ROTATION or (part == "v" and h.is_mla):
        return None
    size = SMALLEST_ROTATION
    while part == "k" and heads[0] % (2 * size) == 0:
        size *= 2
    return b.input(f"attn_inp_{part}_rot", F32, size, size)


def no_cache_mask(b: Builder, name: str = "self_kq_mask") -> Node:
    """The mask over the batch itself, for models without a cache (``build_attn_inp_no_cache``)."""
    n_kv = padded(b.n_tokens, PADDED_ROWS) if b.context.build.rules.pads_batches else b.n_tokens
    return _mask(b, name, (n_kv, b.n_tokens, 1, 1), is_half=b.context.flash_attn)


@dataclass(slots=True, kw_only=True)
class RecurrentInput:
    """Which state row each sequence continues from (``build_rs_inp``); views are shared by all layers."""

    copy: Node
    main: Node
    tail: Node


def recurrent(b: Builder) -> RecurrentInput:
    """Recurrent state indices: one per state, the batch's own first."""
    n_rs, n_seqs = b.context.n_seq_max, b.batch.n_seqs
    copy = b.input("rs_s_copy", I32, n_rs)
    first = 1 if b.context.build.rules.gathers_states_at_once else n_seqs
    tail = view_1d(copy, n_rs - first, first * copy.nb[0])
    return RecurrentInput(copy=copy, main=view_1d(copy, n_seqs), tail=tail)

"""What one token reads of caches, and what its attention computes, layer by layer, wherever these are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import gcd
from typing import Final

from omniplan.domain.hparams import Hparams
from omniplan.domain.model import Model
from omniplan.llamacpp.load import memory
from omniplan.llamacpp.load.context import Context
from omniplan.llamacpp.load.memory import CacheTensor

# Heads that one pass over a cache serves at most (ggml-cuda/fattn-tile.cuh).
_HEADS_AT_ONCE: Final = 8
# fattn.cu:ggml_cuda_get_best_fattn_kernel, can_use_vector_kernel.
_LARGEST_VECTOR_HEAD: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheRead:
    """One cache of layer ``il``: ``nbytes`` read, ``again`` times again, by ``n_readers`` where heads read apart.

    ``state`` are the bytes of one row of recurrent state, 0 for any other cache.
    """

    il: int
    nbytes: int
    n_readers: int
    again: int
    state: int


@lru_cache(maxsize=16)
def cache_reads(model: Model, context: Context, depth: int) -> tuple[CacheRead, ...]:
    """What one token reads of every cache with ``depth`` tokens in it."""
    h = model.hparams
    return tuple(
        CacheRead(
            il=cache.il,
            nbytes=_cache_bytes(cache, h, depth),
            n_readers=_readers(cache, h),
            again=0 if cache.is_state else _passes(h, cache.il) - 1,
            state=cache.type.row_size(cache.row) if cache.is_state else 0,
        )
        for cache in memory.caches(model, context)
    )


@lru_cache(maxsize=16)
def attended(model: Model, depth: int) -> tuple[tuple[int | None, bool], ...]:
    """Of every layer: operations of its attention, None where it is recurrent, and whether that is latent."""
    h = model.hparams
    return tuple(
        (None if h.is_recr[il] else 2 * _width(h, il) * _reach(h, il, depth), h.is_mla) for il in range(h.n_layer)
    )


def _passes(h: Hparams, il: int) -> int:
    """How often a kernel reads the cache for one token: it serves as many heads at once as divide them evenly.

    Up to eight (ggml-cuda/fattn-tile.cuh: launch_fattn_tile_switch_ncols2); all heads of MLA share one row.
    """
    heads = h.n_head[il] // h.n_head_kv[il] if h.n_head_kv[il] and not h.is_mla else 1
    return heads // gcd(heads, _HEADS_AT_ONCE)


def _reach(h: Hparams, il: int, depth: int) -> int:
    """Earlier tokens that layer ``il`` looks at."""
    return min(depth, h.n_swa) if h.is_swa[il] and h.n_swa else depth


def _width(h: Hparams, il: int) -> int:
    """Products per pair of tokens: scores and values of every head."""
    return h.n_head[il] * (h.n_embd_head_k[il] + h.n_embd_head_v[il])


def _readers(cache: CacheTensor, h: Hparams) -> int:
    """Times that the vector kernel reads a quantised cache; larger heads than it has are read once for all."""
    if cache.is_state or not cache.type.is_quantized or h.n_embd_head_k[cache.il] > _LARGEST_VECTOR_HEAD:
        return 1
    return h.n_head[cache.il] // max(1, h.n_head_kv[cache.il])


def _cache_bytes(cache: CacheTensor, h: Hparams, depth: int) -> int:
    """Bytes of one layer's cache that attention reads; recurrent state is read and written whole."""
    if cache.is_state:
        return 2 * cache.type.row_size(cache.row)
    return cache.type.row_size(cache.row) * min(_reach(h, cache.il, depth), cache.cells)

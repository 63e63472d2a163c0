"""Which layers slide, recur or own an indexer: header arrays first, the architecture's row second."""

from __future__ import annotations

from typing import Final

from omniplan.gguf.model.architectures import ArchRow, MemoryKind
from omniplan.gguf.model.keys import Keys

# llama.cpp b11434 src/models/glm-dsa.cpp: GLM-5.2 gives two leading layers and then one in four an indexer.
_GLM_DSA_FULL_FROM_CONTEXT: Final = 1 << 20


def sliding(
    keys: Keys, row: ArchRow, n_layer: int, n_layer_all: int, is_recr: tuple[bool, ...]
) -> tuple[int, list[bool]]:
    """Window and per-layer flags (``set_swa_pattern``, ``load_swa_pattern`` of llama.cpp); window 0 means none."""
    off = 0, [False] * n_layer_all
    swa = row.swa
    key = keys.number("attention.sliding_window")
    if swa is None:
        return off
    if swa.if_positive and key == 0:
        return off
    if swa.unless_zero and keys.has("attention.sliding_window") and key == 0:
        return off
    if swa.if_n_layer and swa.if_n_layer != n_layer:
        return off
    n_swa = swa.n_swa if swa.fixed else keys.number("attention.sliding_window", swa.n_swa)
    if swa.attention_layers:
        flags = [not recurrent for recurrent in is_recr]
    else:
        flags = _pattern(keys, row, n_layer, n_layer_all)
    return n_swa, flags


def _pattern(keys: Keys, row: ArchRow, n_layer: int, n_layer_all: int) -> list[bool]:
    swa = row.swa
    assert swa is not None
    suffix = "attention.sliding_window_pattern"
    given = keys.raw(suffix)
    if isinstance(given, tuple) and given:
        # llama.cpp reads the array into a zeroed one, so a short array leaves the tail dense.
        flags = [bool(value) for value in given[:n_layer_all]]
        return flags + [False] * (n_layer_all - len(flags))
    period = keys.number(suffix, swa.period)
    trunk = [_slides(il, period, dense_first=swa.dense_first) for il in range(n_layer)]
    nextn = period == 0 and row.memory is MemoryKind.DSV4
    return trunk + [nextn] * (n_layer_all - n_layer)


def _slides(il: int, period: int, *, dense_first: bool) -> bool:
    if period == 0:
        return True
    return il % period != 0 if dense_first else il % period < period - 1


def recurrent(
    keys: Keys, row: ArchRow, n_layer: int, n_head_kv: tuple[int, ...], n_ff: tuple[int, ...]
) -> tuple[bool, ...]:
    """Which layers keep a recurrent state instead of (or, in falcon-h1, beside) a KV cache."""
    n_layer_all = len(n_head_kv)
    trunk = [il < n_layer for il in range(n_layer_all)]
    match row.recurrent:
        case "all":
            return (True,) * n_layer_all
        case "no_kv_heads":
            return tuple(inside and heads == 0 for inside, heads in zip(trunk, n_head_kv, strict=True))
        case "no_kv_heads_no_ff":
            return tuple(i and h == 0 and f == 0 for i, h, f in zip(trunk, n_head_kv, n_ff, strict=True))
        case "interval":
            return _by_interval(keys, row, n_layer, n_layer_all)
        case _:
            return (False,) * n_layer_all


def _by_interval(keys: Keys, row: ArchRow, n_layer: int, n_layer_all: int) -> tuple[bool, ...]:
    if keys.has("attention.recurrent_layers"):
        return tuple(bool(v) for v in keys.per_layer("attention.recurrent_layers", n_layer_all))
    interval = keys.number("full_attention_interval", row.interval) or row.interval
    return tuple(il < n_layer and (il + 1) % interval != 0 for il in range(n_layer_all))


def indexer_full(keys: Keys, row: ArchRow, n_layer_all: int, n_ctx_train: int) -> tuple[bool, ...]:
    """Layers that own a lightning indexer (``is_indexer_full`` of llama.cpp)."""
    given = keys.raw("attention.indexer.types")
    if isinstance(given, tuple) and given:
        flags = tuple(bool(value) for value in given[:n_layer_all])
        return flags + (False,) * (n_layer_all - len(flags))
    if row.indexer_full == "by_context" and n_ctx_train >= _GLM_DSA_FULL_FROM_CONTEXT:
        return tuple(il < 2 or (il - 2) % 4 == 0 for il in range(n_layer_all))
    return (row.indexer_full != "" or row.memory is MemoryKind.DSA,) * n_layer_all

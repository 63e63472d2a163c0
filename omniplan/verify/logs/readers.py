"""What each fact about a load changes in it; one reader per fact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from omniplan.units import MIB
from omniplan.verify.logs.building import MOST, ContextBuilder, LoadBuilder
from omniplan.verify.logs.match import Values
from omniplan.verify.logs.report import (
    BufferKind,
    LogBuffer,
    LogCache,
    Released,
)

Reader = Callable[[LoadBuilder, Values, int], None]

_KINDS: Final = {
    "model": BufferKind.MODEL,
    "KV": BufferKind.KV,
    "RS": BufferKind.RECURRENT,
    "compute": BufferKind.COMPUTE,
    "output": BufferKind.OUTPUT,
    "LoRA": BufferKind.LORA,
    "rotation": BufferKind.ROTATION,
    "layer input": BufferKind.LAYER_INPUT,
}
# clip.cpp prints buffers of a projector under these names.
_PROJECTOR: Final = frozenset(("reserve_compute_meta", "alloc_compute_meta", "warmup"))
_RECURRENT: Final = "recurrent"
# Logs round sizes to a hundredth of a MiB; two that differ by less are one.
SAME: Final = MIB // 50


def size_of(values: Values) -> int:
    """Bytes of a size in MiB or in bytes."""
    return int(values["bytes"]) if "bytes" in values else round(float(values["mib"]) * MIB)


def _keep(table: dict[str, str], values: Values) -> None:
    if len(table) < MOST:
        table[values["name"].strip()] = values.get("value", "").strip()


def _metadata(load: LoadBuilder, values: Values, _line: int) -> None:
    _keep(load.metadata, values)


def _hparam(load: LoadBuilder, values: Values, _line: int) -> None:
    _keep(load.hparams, values)


def _tensor_type(load: LoadBuilder, values: Values, _line: int) -> None:
    if len(load.tensor_types) < MOST:
        load.tensor_types[values["name"]] = int(values["n"])


def _layer(load: LoadBuilder, values: Values, _line: int) -> None:
    load.layers[int(values["il"])] = values["device"]


def _cache_layer(load: LoadBuilder, values: Values, line: int) -> None:
    load.context(line).cache_layers[int(values["il"])] = values["device"]


def _override(load: LoadBuilder, values: Values, _line: int) -> None:
    name = values["device"]
    if name in load.overrides or len(load.overrides) < MOST:
        load.overrides[name] = load.overrides.get(name, 0) + 1


def _offloaded(load: LoadBuilder, values: Values, _line: int) -> None:
    load.offloaded = int(values["n"]), int(values["of"])


def _buffer(load: LoadBuilder, values: Values, line: int) -> None:
    function = values.get("function", "")
    kind = BufferKind.RECURRENT if "state" in values else _KINDS.get(values.get("kind", ""))
    if kind is None:
        # Weights had no word of their own before 2025.
        if not function.endswith("load_tensors"):
            return
        kind = BufferKind.MODEL
    buffer = LogBuffer(
        device=values["device"], kind=kind, size=size_of(values), line=line, part=values.get("state", "")
    )
    if function in _PROJECTOR:
        load.projector.append(buffer)
    elif kind is BufferKind.MODEL:
        load.add(buffer)
    else:
        load.context_for(kind, line).add(buffer)


def _projector(load: LoadBuilder, values: Values, line: int) -> None:
    load.projector.append(LogBuffer(device="", kind=BufferKind.MODEL, size=size_of(values), line=line))


def _expert_cache(load: LoadBuilder, values: Values, line: int) -> None:
    found = LogBuffer(device=values["device"], kind=BufferKind.EXPERT_CACHE, size=size_of(values), line=line)
    if len(load.expert_cache) < MOST:
        load.expert_cache.append(found)


def _released(load: LoadBuilder, values: Values, line: int) -> None:
    reserved = round(float(values["expected"]) * MIB)
    found = Released(device=values["device"], size=size_of(values), reserved=reserved, line=line)
    owner = next((context for context in load.contexts if _reserves(context, found)), None) or load.context(line)
    if len(owner.released) < MOST:
        owner.released.append(found)


def _reserves(context: ContextBuilder, found: Released) -> bool:
    buffer = context.single.get((BufferKind.COMPUTE, found.device))
    return buffer is not None and abs(buffer.size - found.reserved) < SAME


def _cache(load: LoadBuilder, values: Values, line: int) -> None:
    found = LogCache(
        size=size_of(values),
        types=_types(values["parts"]),
        line=line,
        is_recurrent=_RECURRENT in values["function"],
        cells=_count(values, "cells"),
        n_layer=_count(values, "layers"),
        n_seq=_count(values, "seqs"),
        n_stream=_count(values, "streams"),
    )
    context = load.context_for(BufferKind.KV, line)
    if len(context.caches) < MOST:
        context.caches.append(found)


def _types(parts: str) -> Mapping[str, str]:
    """``K (f16): 2.00 MiB, V (f16): ...`` as the type of each part."""
    found = {}
    for part in parts.split(", "):
        name, opened, rest = part.partition(" (")
        kind, closed, _ = rest.partition(")")
        if opened and closed and len(name) < 16 and len(kind) < 16:
            found[name.strip()] = kind
    return found


def _count(values: Values, key: str) -> int | None:
    return int(values[key]) if key in values else None


def _context(load: LoadBuilder, _values: Values, line: int) -> None:
    if not load.contexts or load.contexts[-1].is_begun:
        load.new_context(line)


def _setting(load: LoadBuilder, values: Values, line: int) -> None:
    context = load.context(line)
    name, value = values["name"], values["value"].strip()
    is_again = name in context.settings and (context.has_buffers or context.settings[name] != value)
    if is_again or context.is_reserved:
        context = load.new_context(line)
    if len(context.settings) < MOST:
        context.settings[name] = value


def _slots(load: LoadBuilder, values: Values, _line: int) -> None:
    load.slots = int(values["n"]), _count(values, "n_ctx")


def _flash(load: LoadBuilder, values: Values, line: int) -> None:
    context = load.context(line)
    context.flash_attn = values["state"] in {"enabled", "enabling"}
    context.flash_attn_line = line


def _flash_mismatch(load: LoadBuilder, _values: Values, line: int) -> None:
    context = load.context(line)
    context.flash_attn, context.flash_attn_line = False, line


def _nodes(load: LoadBuilder, values: Values, line: int) -> None:
    load.context(line).n_nodes = int(values["n"])


def _splits(load: LoadBuilder, values: Values, line: int) -> None:
    context = load.context(line)
    prefill = int(values["prefill"])
    context.splits = prefill, int(values.get("decode", prefill))
    context.splits_line = line


def _graph(load: LoadBuilder, values: Values, line: int) -> None:
    _splits(load, values, line)
    load.context(line).n_nodes = int(values["nodes"])


def _copies(load: LoadBuilder, values: Values, line: int) -> None:
    load.context(line).sched_copies = int(values["n"])


def _pipeline(load: LoadBuilder, _values: Values, line: int) -> None:
    context = load.context(line)
    context.sched_copies = context.sched_copies or 4


def _pipeline_off(load: LoadBuilder, _values: Values, line: int) -> None:
    load.context(line).sched_copies = 1


READERS: Final[Mapping[str, Reader]] = {
    "metadata": _metadata,
    "hparam": _hparam,
    "tensor_type": _tensor_type,
    "layer": _layer,
    "cache_layer": _cache_layer,
    "override": _override,
    "offloaded": _offloaded,
    "buffer": _buffer,
    "projector": _projector,
    "projector_graph": lambda _load, _values, _line: None,
    "expert_cache": _expert_cache,
    "released": _released,
    "cache": _cache,
    "context": _context,
    "setting": _setting,
    "slots": _slots,
    "flash": _flash,
    "flash_mismatch": _flash_mismatch,
    "nodes": _nodes,
    "splits": _splits,
    "graph": _graph,
    "copies": _copies,
    "pipeline": _pipeline,
    "pipeline_off": _pipeline_off,
}

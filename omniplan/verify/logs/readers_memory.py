"""What --fit decided, memory tables and refused allocations; one reader per fact."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from omniplan.units import MIB
from omniplan.verify.logs.building import MOST, LoadBuilder
from omniplan.verify.logs.match import Values
from omniplan.verify.logs.readers import SAME, Reader, size_of
from omniplan.verify.logs.report import BreakdownRow, BufferKind, FitDevice, LogFit, OutOfMemory

# The driver's numbers wrap below zero; no machine has this much memory.
_WRAPPED_MIB: Final = 1 << 30
# What llama.cpp b11434 says was not to be had (src/llama-kv-cache.cpp, llama-memory-recurrent.cpp, llama-context.cpp).
_FAILED_OF: Final = {
    "buffer for kv cache": BufferKind.KV,
    "buffer for rs cache": BufferKind.RECURRENT,
    "failed to allocate compute": BufferKind.COMPUTE,
}
# Lines between the two halves of one report of a refused allocation.
_NEAR: Final = 12


def _fit_projected(load: LoadBuilder, values: Values, line: int) -> None:
    run, used, free = load.run, int(values["used"]) * MIB, int(values["free"]) * MIB
    run.fit = replace(run.decided(line), projected=used, available=free)


def _fit_context(load: LoadBuilder, values: Values, line: int) -> None:
    run = load.run
    before, after = int(values["before"]), int(values["after"])
    run.fit = replace(run.decided(line), context_before=before, context_after=after, context_line=line)


def _fit_device(load: LoadBuilder, values: Values, line: int) -> None:
    run = load.run
    run.fit = run.decided(line)
    if len(run.fit_devices) < MOST:
        run.fit_devices.append(
            FitDevice(
                device=values["device"],
                n_layer=int(values["layers"]),
                n_overflowing=int(values.get("overflowing", 0)),
                used=int(values["used"]) * MIB,
                free=int(values["free"]) * MIB,
                line=line,
            )
        )


def _fit_failed(load: LoadBuilder, values: Values, line: int) -> None:
    load.run.fit = replace(load.run.decided(line), failure=values["reason"].strip())


def _fit_done(load: LoadBuilder, _values: Values, line: int) -> None:
    load.run.fit = load.run.fit or LogFit(line=line)


def _breakdown(load: LoadBuilder, _values: Values, _line: int) -> None:
    (load.run.breakdown if load.has_memory else load.run.projected).clear()


def _breakdown_row(load: LoadBuilder, values: Values, line: int) -> None:
    table = load.run.breakdown if load.has_memory or "model" not in values else load.run.projected
    total, free, unaccounted = (_bounded(values, key) for key in ("total", "free", "unaccounted"))
    row = BreakdownRow(
        device=values["device"],
        model=int(values["model"]) * MIB,
        context=int(values["context"]) * MIB,
        compute=int(values["compute"]) * MIB,
        line=line,
        total=total,
        free=free,
        unaccounted=unaccounted if unaccounted is not None and unaccounted >= 0 else None,
    )
    table[:] = [*(known for known in table if known.device != row.device), row][:MOST]


def _bounded(values: Values, key: str) -> int | None:
    value = int(values.get(key, _WRAPPED_MIB))
    return value * MIB if abs(value) < _WRAPPED_MIB else None


def _projection(load: LoadBuilder, values: Values, line: int) -> None:
    sizes = {key: int(values[key]) * MIB for key in ("model", "context", "compute")}
    row = BreakdownRow(device=values["device"], line=line, **sizes)
    table = load.run.projected
    table[:] = [*(known for known in table if known.device != row.device), row][:MOST]


def _refused(load: LoadBuilder, values: Values, line: int) -> None:
    device = values.get("device") or (f"CUDA{values['index']}" if "index" in values else "")
    function = values.get("function", "")
    found = OutOfMemory(device=device, size=size_of(values), kind=_refused_kind(load, function), line=line)
    last = load.refused[-1] if load.refused else None
    if last is not None and abs(last.size - found.size) <= SAME and line - last.line <= _NEAR:
        load.refused[-1] = replace(found, device=device or last.device, line=last.line)
    elif len(load.refused) < MOST:
        load.refused.append(found)


def _refused_kind(load: LoadBuilder, function: str) -> BufferKind:
    """What the bytes were for: the graph allocator's are compute, others by what is there already.

    llama.cpp prints the weights' buffers when all of them are there.
    """
    if "gallocr" in function:
        return BufferKind.COMPUTE
    if not load.contexts:
        return BufferKind.KV if load.buffers else BufferKind.MODEL
    has_cache = any(buffer.kind is BufferKind.KV for buffer in load.contexts[-1].held)
    return BufferKind.COMPUTE if has_cache and "tensor" not in function else BufferKind.KV


def _failed(load: LoadBuilder, values: Values, line: int) -> None:
    kind = next((kind for words, kind in _FAILED_OF.items() if words in values["reason"]), None)
    if kind and load.refused and line - load.refused[-1].line <= _NEAR:
        load.refused[-1] = replace(load.refused[-1], kind=kind)
    if not load.failure:
        load.failure, load.failure_line = values["reason"].strip(), line


def _command(load: LoadBuilder, values: Values, _line: int) -> None:
    text = values["text"]
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    load.run.command = load.run.command or tuple(words)


READERS: Final[Mapping[str, Reader]] = {
    "fit_projected": _fit_projected,
    "fit_context": _fit_context,
    "fit_device": _fit_device,
    "fit_unchanged": _fit_done,
    "fit_done": _fit_done,
    "fit_failed": _fit_failed,
    "breakdown": _breakdown,
    "breakdown_device": _breakdown_row,
    "breakdown_host": _breakdown_row,
    "projection": _projection,
    "refused": _refused,
    "failed": _failed,
    "command": _command,
}

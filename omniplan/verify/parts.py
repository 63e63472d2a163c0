"""What a log shows of each part of a process: the model itself, a second context, a draft, a projector, adapters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from omniplan.domain.footprint import BufferColumn, ContextKind
from omniplan.verify.logs.report import BufferKind, Load, LoadReport, LogBuffer
from omniplan.verify.pools import COLUMNS, pool_of, pools, pools_of

# Bytes of one column per pool.
Columns = Mapping[BufferColumn, Mapping[str, int]]


def shown(report: LoadReport, load: Load) -> dict[ContextKind, Columns]:
    """Bytes that the log shows of each part, the model's first."""
    beside = {
        ContextKind.MTP: [buffer for context in load.contexts[1:] for buffer in context.buffers],
        ContextKind.DRAFT: list(_draft(report, load)),
        ContextKind.PROJECTOR: list(_projector(load)),
        ContextKind.ADAPTERS: list(_adapters(load)),
        ContextKind.EXPERT_CACHE: list(load.expert_cache),
    }
    main = {column: _of_model(load, column) for column in COLUMNS}
    parts = {kind: {column: pools_of(found, column) for column in COLUMNS} for kind, found in beside.items() if found}
    return {ContextKind.MAIN: main, **parts}


def _of_model(load: Load, column: BufferColumn) -> Mapping[str, int]:
    """From buffer lines, else from the tables that llama.cpp adds up; empty where the log shows neither."""
    found = pools(load, column)
    if found or column is BufferColumn.OUTPUT:
        return found
    table = load.breakdown or (() if load.has_buffers else load.projected)
    return {pool_of(row.device): int(getattr(row, column)) for row in table}


def _adapters(load: Load) -> Iterator[LogBuffer]:
    """Factors of adapters, which are weights; control vectors are not printed."""
    for buffer in load.all_buffers():
        if buffer.kind is BufferKind.LORA:
            yield replace(buffer, kind=BufferKind.MODEL)


def _projector(load: Load) -> Iterator[LogBuffer]:
    """Its buffers; the line of its weights names no device, which is that of its larger compute buffer."""
    computes = [buffer for buffer in load.projector if buffer.device]
    device = max(computes, key=lambda buffer: buffer.size).device if computes else ""
    for buffer in load.projector:
        yield buffer if buffer.device else replace(buffer, device=device)


def _draft(report: LoadReport, load: Load) -> Iterable[LogBuffer]:
    """Buffers of the draft model that the process of ``load`` loaded last."""
    own = [item for item in report.loads if item.is_draft and not item.is_dry and item.process == load.process]
    return own[-1].all_buffers() if own else ()

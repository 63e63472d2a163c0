"""Memory that was refused, that nobody planned for, or that grew; each check yields findings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from omniplan.domain.footprint import BufferColumn
from omniplan.domain.headroom import Headroom
from omniplan.domain.machine import Gpu
from omniplan.llamacpp.ggml.buffers import HOST
from omniplan.llamacpp.ggml.meta import NAME as META
from omniplan.units import GIB, MIB, mib
from omniplan.verify.compare import mapped_size
from omniplan.verify.evidence import Evidence
from omniplan.verify.expected import free_of
from omniplan.verify.logs.report import BufferKind, OutOfMemory
from omniplan.verify.pools import device_order, one_memory, pool_of, pools, predicted_name
from omniplan.verify.table import finding
from omniplan.verify.values import RunFinding

_REMEDIES: Final = {
    BufferKind.COMPUTE: "the compute buffer grows with -ub: halve it, or move a layer off {device}",
    BufferKind.KV: "shorten the context (-c), quantise the cache (-ctk, -ctv), or move a layer off {device}",
    BufferKind.RECURRENT: "recurrent states grow with the slots (-np): fewer of them, or move a layer off {device}",
    BufferKind.MODEL: "give {device} fewer layers: -ts counts layers, --n-cpu-moe is applied after the split",
}
# Less is left idle by layers that are larger than the rest, and a token embedding in RAM is smaller.
_LEAST_IDLE: Final = 4 * GIB
_IDLE: Final = 0.1


def out_of_memory(evidence: Evidence) -> Iterator[RunFinding]:
    """Allocations that were refused, and by how much they were short."""
    for item in evidence.load.refused:
        pool = pool_of(item.device)
        asked = mib(item.size)
        if item.is_survived:
            yield finding("pipeline-dropped", item.line, asked=asked, device=pool)
            continue
        kind = item.kind or BufferKind.MODEL
        remedy = _REMEDIES.get(kind, _REMEDIES[BufferKind.MODEL]).format(device=pool or "the device")
        # A second context of the model is that of MTP, or of a draft that shares its weights.
        is_second = kind is not BufferKind.MODEL and any(c.line <= item.line for c in evidence.load.contexts[1:])
        what = f"{kind.value} of another context of the model" if is_second else kind.value
        facts = {"device": pool or "a device", "asked": asked, "kind": what, "remedy": remedy}
        free = free_of(evidence.report, evidence.machine, pool)
        held = _held(evidence, pool, item)
        if free is None or item.size <= free - sum(held.values()):
            yield finding("out-of-memory-unknown", item.line, **facts)
            continue
        left = free - sum(held.values())
        words = ", ".join(f"{column} {mib(size)}" for column, size in held.items()) or "nothing yet"
        short = mib(item.size - left)
        yield finding("out-of-memory", item.line, **facts, free=mib(left), held=words, short=short)


def _held(evidence: Evidence, pool: str, item: OutOfMemory) -> dict[BufferColumn, int]:
    """What lay in the memory of ``pool`` already, by column."""
    columns = () if item.kind is BufferKind.MODEL else (BufferColumn.MODEL, BufferColumn.CONTEXT, BufferColumn.COMPUTE)
    members = one_memory(pool, evidence.machine, device_order(evidence.report))
    held = {column: pools(evidence.load, column) for column in columns}
    return {column: size for column, sizes in held.items() if (size := sum(sizes.get(name, 0) for name in members))}


def idle_vram(evidence: Evidence) -> Iterator[RunFinding]:
    """VRAM that nothing uses, beyond what the headroom policy keeps, while weights that could lie there are in RAM."""
    load, order = evidence.load, device_order(evidence.report)
    model = pools(load, BufferColumn.MODEL)
    if load.failure or load.refused:
        return
    # A mapping spans the tensors on GPUs between those it is for.
    spanned = sum(size for pool, size in model.items() if pool != HOST) if mapped_size(load) else 0
    idle = total = 0
    for device in evidence.report.devices:
        pool = pool_of(device.name)
        free = free_of(evidence.report, evidence.machine, pool)
        if pool == META or free is None or HOST in one_memory(pool, evidence.machine, order):
            continue
        total += device.total or free
        held = sum(pools(load, column).get(META if META in order else pool, 0) for column in BufferColumn)
        idle += max(0, free - held - _margin(evidence, predicted_name(pool, order), device.total or free))
    movable = min(idle, model.get(HOST, 0) - spanned)
    if movable > max(_LEAST_IDLE, total * _IDLE):
        in_ram = mib(model[HOST] - spanned)
        yield finding("idle-vram", load.line, idle=mib(idle), weights=in_ram, movable=mib(movable))


def unaccounted(evidence: Evidence) -> Iterator[RunFinding]:
    """Memory in use beside the model above what the headroom policy, or the plan, allowed for."""
    order = device_order(evidence.report)
    for row in evidence.load.breakdown:
        # Several devices that act as one show one's buffers beside everybody's memory.
        if row.unaccounted is None or row.total is None or row.device == META:
            continue
        name = predicted_name(pool_of(row.device), order)
        before = free_of(evidence.report, evidence.machine, pool_of(row.device))
        allowed = (row.total - before if before is not None else 0) + _margin(evidence, name, row.total)
        if row.unaccounted > allowed:
            facts = {"unaccounted": mib(row.unaccounted), "expected": mib(allowed)}
            yield finding("unaccounted", row.line, device=row.device, **facts)


def _margin(evidence: Evidence, name: str, total: int) -> int:
    """Bytes kept on a GPU for what CUDA takes and for growth."""
    if evidence.expected.plan is not None:
        return sum(margin.context + margin.growth for margin in evidence.expected.plan.margins if margin.pool == name)
    gpus = {gpu.name: gpu for gpu in evidence.machine.gpus} if evidence.machine else {}
    gpu = gpus.get(name) or Gpu(name=name, description="", total=total, free=total)
    policy = Headroom()
    return policy.context_of(gpu, evidence.expected.footprint) + policy.growth_of(gpu)


def used_memory(evidence: Evidence) -> Iterator[RunFinding]:
    """More in use by nvidia-smi than prediction, reservations and headroom add up to."""
    priced, machine = evidence.expected.footprint, evidence.machine
    if priced is None or machine is None:
        return
    for seen in evidence.usage:
        gpu = next((gpu for gpu in machine.gpus if gpu.name == seen.device), None)
        if gpu is None or seen.device not in priced.buffers:
            continue
        wanted = priced.buffers[seen.device].total + gpu.total - gpu.free + _margin(evidence, gpu.name, gpu.total)
        if seen.used > wanted:
            yield finding("used-above", device=seen.device, used=mib(seen.used), expected=mib(wanted))


def released(evidence: Evidence) -> Iterator[RunFinding]:
    """Compute buffers that grew while running."""
    for context in evidence.load.contexts[:1]:
        for item in context.released:
            if item.size > item.reserved + MIB:
                reserved, actual = mib(item.reserved), mib(item.size)
                yield finding("compute-grew", item.line, device=item.device, reserved=reserved, actual=actual)

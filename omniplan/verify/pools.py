"""Buffers of a log added up per physical memory, under the names that predictions use."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final

from omniplan.domain.footprint import BufferColumn
from omniplan.domain.machine import Gpu, Machine
from omniplan.llamacpp.ggml.buffers import HOST
from omniplan.llamacpp.ggml.meta import NAME as META
from omniplan.llamacpp.ggml.registry import BACKENDS
from omniplan.llamacpp.ggml.table import rows
from omniplan.predict.learned import is_same_gpu
from omniplan.verify.logs.report import BufferKind, Load, LoadReport, LogBuffer

CUDA: Final = "CUDA"
RPC: Final = "RPC"
# Names of buffers in RAM: pinned, repacked, mapped, and accelerators that compute in place.
_HOST: Final = re.compile(r"CPU(_\w+)?|\w+_Host|Host|AMX|BLAS|KleidiAI|RAM")
_VARIANT: Final = re.compile(r"_(Mapped|Split|Private|Shared|Repack)$")
_NUMBERED: Final = re.compile(r"([A-Za-z]+)(\d*)")
# A buffer of another host's device: its place there, which old builds leave out, and the address.
_REMOTE: Final = re.compile(r"RPC\d*\[.+\]")
# Macs have one GPU, which older builds do not number.
_METAL: Final = ("Metal", "MTL")
# A driver and a data sheet differ by less over the size of one GPU.
_SAME_TOTAL: Final = 0.02
COLUMNS: Final = {
    BufferColumn.MODEL: (BufferKind.MODEL,),
    BufferColumn.CONTEXT: (BufferKind.KV, BufferKind.RECURRENT, BufferKind.EXPERT_CACHE),
    BufferColumn.COMPUTE: (BufferKind.COMPUTE,),
    BufferColumn.OUTPUT: (BufferKind.OUTPUT,),
}


def is_mapped(device: str) -> bool:
    """Whether a buffer is a mapping of the file, whose size is a span."""
    return device.endswith("_Mapped")


def pool_of(device: str) -> str:
    """The memory a buffer lies in: ``Host``, or the device without what says how it is used."""
    return HOST if _HOST.fullmatch(device) else _VARIANT.sub("", device)


def pools(load: Load, column: BufferColumn) -> dict[str, int]:
    """Bytes of one column of the model and its main context per pool."""
    return pools_of(load.all_buffers(), column)


def pools_of(found: Iterable[LogBuffer], column: BufferColumn) -> dict[str, int]:
    """Bytes of one column per pool."""
    sizes: dict[str, int] = {}
    for buffer in found:
        if buffer.kind in COLUMNS[column]:
            sizes[pool_of(buffer.device)] = sizes.get(pool_of(buffer.device), 0) + buffer.size
    return sizes


def backend(pools_seen: Iterable[str]) -> str:
    """What the devices are: ``CUDA``, ``Vulkan``, ``RPC``, ...; "" where there is only RAM."""
    names = {_backend(pool) for pool in pools_seen if pool not in (HOST, META)}
    return CUDA if CUDA in names else next(iter(sorted(names)), "")


@cache
def priced() -> frozenset[str]:
    """What devices of back ends are called whose bytes are known."""
    return frozenset(row.device for name, row in rows().items() if name in BACKENDS)


def _backend(pool: str) -> str:
    if pool in _METAL:
        return _METAL[-1]
    match = _NUMBERED.match(pool)
    return match[1] if match else pool


def predicted_name(pool: str, order: list[str]) -> str:
    """The name a prediction has for ``pool``: devices of priced back ends keep theirs, CUDA's stand in for others.

    Devices of other hosts count in the order of ``order``, over all of them.
    """
    if _backend(pool) == RPC:
        remote = [name for name in order if _REMOTE.fullmatch(name)]
        return f"{RPC}{remote.index(pool)}" if pool in remote else pool
    if pool in _METAL:
        return f"{_METAL[-1]}0"
    if pool in (HOST, META) or _backend(pool) in priced():
        return pool
    match = _NUMBERED.fullmatch(pool)
    if match and match[2]:
        return f"{CUDA}{match[2]}"
    return f"{CUDA}{order.index(pool)}" if pool in order else pool


def one_memory(pool: str, machine: Machine | None, order: list[str]) -> tuple[str, ...]:
    """The pools of a log that take from what is free on ``pool``: RAM too, where a GPU draws on it without a limit."""
    name = predicted_name(pool, order)
    gpu = next((gpu for gpu in machine.gpus if gpu.name == name), None) if machine else None
    return (pool, HOST) if gpu is not None and gpu.draws_on_ram and gpu.room == gpu.free else (pool,)


def device_order(report: LoadReport) -> list[str]:
    """The log's devices that are no RAM, in its order; those of other hosts by their buffers' names."""
    seen = list(_devices(report))
    if report.load is not None:
        seen += [buffer.device for buffer in report.load.all_buffers()]
    return list(dict.fromkeys(pool for name in seen if (pool := pool_of(name)) != HOST))


def _devices(report: LoadReport) -> Iterator[str]:
    """Names of devices; RPC's have their address for a description (ggml-rpc.cpp: ggml_backend_rpc_add_server)."""
    places: Counter[str] = Counter()
    for device in report.devices:
        is_remote = _backend(device.name) == RPC and ":" in device.description
        yield f"{RPC}{places[device.description]}[{device.description}]" if is_remote else device.name
        places[device.description] += 1


def is_gpu(gpu: Gpu, description: str, total: int | None) -> bool:
    """Whether a device of a log can be ``gpu``, by its description and size as far as they are known."""
    near = total is None or abs(total - gpu.total) <= _SAME_TOTAL * gpu.total
    return near and is_same_gpu(gpu.description, description)

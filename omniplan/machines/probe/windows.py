"""Windows from CIM as PowerShell prints it: video controllers, processors, modules of memory, and the system.

``AdapterRAM`` is a 32-bit number, so that a card's memory comes from its row, or is told to be unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from omniplan.domain.machine import Gpu, Machine, Memory, Reservation, ReservationKind
from omniplan.domain.processor import Cpu
from omniplan.errors import InputError
from omniplan.machines.cpus import find_cpu
from omniplan.machines.gpus import GpuRow, find_gpu, find_gpus, plain_name
from omniplan.machines.pci import VENDORS
from omniplan.machines.probe.cpuinfo import tidy_brand
from omniplan.machines.probe.memory import parse_modules
from omniplan.machines.probe.plain import checked, key, objects
from omniplan.machines.shares import assumed_reserve, drawing_on
from omniplan.units import GIB, MIB, gib

T = TypeVar("T")

# The command whose answer this reads; 5.1 and later have it.
COMMAND: Final = (
    "@{gpus = @(Get-CimInstance Win32_VideoController); cpus = @(Get-CimInstance Win32_Processor); "
    "modules = @(Get-CimInstance Win32_PhysicalMemory); system = @(Get-CimInstance Win32_OperatingSystem)} "
    "| ConvertTo-Json -Depth 2"
)
# AdapterRAM of every larger card.
_MOST_TOLD: Final = 4 * GIB - MIB
# What llama.cpp's usual builds for Windows call the devices of each maker.
_DEVICES: Final = {"nvidia": "CUDA", "amd": "Vulkan", "intel": "Vulkan"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Controller:
    """Win32_VideoController."""

    name: str = key("Name", "")
    memory: int | None = key("AdapterRAM")
    device: str | None = key("PNPDeviceID")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Processor:
    """Win32_Processor: one per socket; the cache is in KB."""

    name: str = key("Name", "")
    cores: int = key("NumberOfCores", 0)
    threads: int = key("NumberOfLogicalProcessors", 0)
    l3: int | None = key("L3CacheSize")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Module:
    """Win32_PhysicalMemory."""

    size: int = key("Capacity", 0)
    speed: int | None = key("ConfiguredClockSpeed")
    locator: str | None = key("DeviceLocator")
    bank: str | None = key("BankLabel")


@dataclass(frozen=True, slots=True, kw_only=True)
class _System:
    """Win32_OperatingSystem; both are KB."""

    total: int = key("TotalVisibleMemorySize", 0)
    free: int | None = key("FreePhysicalMemory")


# What an instance has that no other kind has.
_MARKS: Final = {
    "AdapterRAM": _Controller,
    "NumberOfLogicalProcessors": _Processor,
    "Capacity": _Module,
    "TotalVisibleMemorySize": _System,
}


def is_cim(raw: object) -> bool:
    """Whether plain data has instances of these classes."""
    return any(mark in item for item in objects(raw) for mark in _MARKS)


def parse_cim(raw: object, where: str) -> Machine:
    """The machine that instances describe, alone, in lists or by names of one's own; raises InputError."""
    found: list[object] = [
        checked(kind, item, f"{where}: {mark}")
        for item in objects(raw)
        for mark, kind in _MARKS.items()
        if mark in item
    ]
    modules, systems = _all(found, _Module), _all(found, _System)
    memory = _memory(modules, systems)
    gpus, notes = _gpus(_all(found, _Controller), memory)
    cpu = _cpu(_all(found, _Processor))
    if not (gpus or memory or cpu):
        raise InputError(f"{where}: expected GPUs, a processor or memory, as PowerShell's CIM prints them")
    names = [cpu.model if cpu else "", *(gpu.description for gpu in gpus)]
    return Machine(
        name=Path(where).stem,
        description=", ".join(filter(None, names)),
        gpus=gpus,
        memory=memory,
        cpu=cpu,
        notes=notes,
        source=where,
    )


def _all(found: Iterable[object], kind: type[T]) -> list[T]:
    return [item for item in found if isinstance(item, kind)]


def _gpus(seen: Sequence[_Controller], memory: Memory | None) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    gpus: list[Gpu] = []
    notes: list[str] = []
    for item in seen:
        vendor = re.search(r"VEN_([0-9A-F]{4})", (item.device or "").upper())
        maker = VENDORS.get(int(vendor[1], 16), "") if vendor else ""
        prefix = _DEVICES.get(maker)
        if prefix is None:
            continue
        name = f"{prefix}{sum(gpu.name.startswith(prefix) for gpu in gpus)}"
        gpu, told = _gpu(item, name, memory)
        gpus.append(gpu)
        notes += told
    return tuple(gpus), tuple(notes)


def _gpu(item: _Controller, name: str, memory: Memory | None) -> tuple[Gpu, tuple[str, ...]]:
    said = plain_name(item.name)
    told = item.memory if item.memory and item.memory < _MOST_TOLD else None
    row = _row(said, told)
    description = row.name if row else said
    if row and row.is_unified:
        gpu = Gpu(name=name, description=description, total=0, free=0)
        return drawing_on(gpu, memory, "windows") if memory else (replace(gpu, is_unified=True), ())
    total = (row.visible or row.memory if row else told or item.memory or 0) // MIB * MIB
    notes = (
        ()
        if row or told
        else (f"{description}: in no table, and Windows counts its memory no further than {gib(total)}",)
    )
    kept = assumed_reserve(ReservationKind.WDDM, total)
    return Gpu(name=name, description=description, total=total, free=total - kept.size, reserved=(kept,)), notes


def _row(name: str, size: int | None) -> GpuRow | None:
    """The row of that name; of several that differ in memory the one of ``size``, else the smallest."""
    rows = sorted(find_gpus(name), key=lambda row: row.memory)
    return find_gpu(name, size) or (rows[0] if rows else None)


def _memory(modules: Sequence[_Module], systems: Sequence[_System]) -> Memory | None:
    """RAM as the system sees it, else all modules; what is in use, else what systems usually take."""
    seen = next((system for system in systems if 0 < system.total < 1 << 40), None)
    total = (seen.total << 10 if seen else sum(module.size for module in modules)) // MIB * MIB
    if not 0 < total < 1 << 50:
        return None
    if seen and seen.free is not None and 0 <= seen.free << 10 <= total:
        used = total - (seen.free << 10) // MIB * MIB
        kept = Reservation(size=used, reason="in use by the system and other processes", kind=ReservationKind.SYSTEM)
    else:
        kept = assumed_reserve(ReservationKind.SYSTEM, total)
    channels, speed = parse_modules("".join(_as_dmidecode(modules)))
    return Memory(
        total=total,
        reserved=(kept,),
        channels=channels,
        speed_mts=speed,
        bandwidth=channels * speed * 8e6 if channels and speed else None,
    )


def _as_dmidecode(modules: Sequence[_Module]) -> Iterator[str]:
    """Modules in dmidecode's form, whose places are those of Windows."""
    for module in modules:
        yield f"Memory Device\n\tSize: {module.size}\n\tLocator: {module.locator}\n\tBank Locator: {module.bank}\n"
        yield f"\tConfigured Memory Speed: {module.speed or 'Unknown'} MT/s\n"


def _cpu(sockets: Sequence[_Processor]) -> Cpu | None:
    if not sockets:
        return None
    model = tidy_brand(sockets[0].name)
    row = find_cpu(model)
    n_cores = sum(socket.cores for socket in sockets)
    is_row = row is not None and row.cores * len(sockets) == n_cores
    return Cpu(
        model=model,
        n_cores=n_cores,
        n_threads=sum(socket.threads for socket in sockets) or n_cores,
        n_sockets=len(sockets),
        n_performance_cores=row.performance_cores * len(sockets) if row and is_row else 0,
        n_efficiency_cores=row.efficiency_cores * len(sockets) if row and is_row else 0,
        l3=sum(socket.l3 or 0 for socket in sockets) // 1024 * MIB or None,
        features=row.features if row else (),
    )

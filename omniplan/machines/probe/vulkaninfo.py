"""GPUs from ``vulkaninfo``: the text with heaps, the ``--summary`` without, and the JSON of ``--json``.

Vulkan's own tables: VkPhysicalDeviceProperties, VkPhysicalDeviceMemoryProperties. ggml's Vulkan back end takes discrete
and integrated devices, and of the heaps those that are local to the device.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from omniplan.domain.machine import Gpu
from omniplan.errors import InputError
from omniplan.machines.gpus import GpuRow, find_gpu, find_gpus, plain_name
from omniplan.machines.pci import VENDORS, amd_name
from omniplan.machines.probe.plain import checked, key, objects
from omniplan.units import MIB

_DEVICE: Final = re.compile(r"^\s*deviceType\s*=\s*(?:VK_)?PHYSICAL_DEVICE_TYPE_(\w+)", re.MULTILINE)
_START: Final = re.compile(r"^GPU(\d{1,3}):\s*$", re.MULTILINE)
_HEAP: Final = re.compile(r"memoryHeaps\[\d+\]:\s*\n\s*size\s*=\s*(\d{1,15})\b(?:.*\n){0,8}?\s*flags:[^\n]*\n\s*(\S+)")
_PROPERTIES: Final = "VkPhysicalDeviceProperties"
_MEMORY: Final = "VkPhysicalDeviceMemoryProperties"
_USED: Final = ("DISCRETE_GPU", "INTEGRATED_GPU", "VIRTUAL_GPU")
# VK_MEMORY_HEAP_DEVICE_LOCAL_BIT
_LOCAL: Final = 1
_KINDS: Final = {0: "OTHER", 1: "INTEGRATED_GPU", 2: "DISCRETE_GPU", 3: "VIRTUAL_GPU", 4: "CPU"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Properties:
    """What VkPhysicalDeviceProperties says of a device; its type is a word or a number."""

    name: str = key("deviceName", "")
    kind: str | int = key("deviceType", "")
    vendor: int = key("vendorID", 0)
    device: int = key("deviceID", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heap:
    """One heap; its flags are a number, or words."""

    size: int
    flags: int | tuple[str, ...] = 0

    @property
    def is_local(self) -> bool:
        """Whether it is the device's own memory."""
        return (
            bool(self.flags & _LOCAL) if isinstance(self.flags, int) else any("DEVICE_LOCAL" in it for it in self.flags)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heaps:
    """What VkPhysicalDeviceMemoryProperties says of a device."""

    heaps: tuple[_Heap, ...] = key("memoryHeaps", ())


def is_text(text: str) -> bool:
    """Whether a text is what vulkaninfo prints."""
    return bool(_DEVICE.search(text)) and "deviceName" in text


def is_json(raw: object) -> bool:
    """Whether plain data is what ``vulkaninfo --json`` prints."""
    return any(_PROPERTIES in item for item in objects(raw))


def parse_text(text: str, where: str) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """GPUs in Vulkan's order, named as llama.cpp does, and notes; raises InputError where none is one."""
    starts = [match.start() for match in _START.finditer(text)] or [0]
    parts = [text[begin:end] for begin, end in zip(starts, [*starts[1:], len(text)], strict=True)]
    return _gpus(_merged(_of_part(part) for part in parts), where)


def parse_json(raw: object, where: str) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """The same from the JSON, which is of one device."""
    found = {name: item[name] for item in objects(raw) for name in (_PROPERTIES, _MEMORY) if name in item}
    said = checked(_Properties, found[_PROPERTIES], f"{where}: {_PROPERTIES}")
    heaps = checked(_Heaps, found[_MEMORY], f"{where}: {_MEMORY}").heaps if _MEMORY in found else ()
    kind = _KINDS.get(said.kind, "") if isinstance(said.kind, int) else said.kind.rpartition("DEVICE_TYPE_")[2]
    local = sum(heap.size for heap in heaps if heap.is_local)
    return _gpus([_Seen(name=said.name, kind=kind, vendor=said.vendor, device=said.device, local=local)], where)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """One device; ``local`` are bytes of its heaps, 0 where they are not listed."""

    name: str
    kind: str
    vendor: int
    device: int
    local: int

    @property
    def row(self) -> GpuRow | None:
        """The table's row, by PCI id and by the name that the driver puts before its own in brackets."""
        by_id = amd_name(self.device, -1) if VENDORS.get(self.vendor) == "amd" else ""
        names = (by_id, plain_name(self.name))
        return next((row for name in names if name and (row := _row(name, self.local))), None)


def _row(name: str, size: int) -> GpuRow | None:
    rows = find_gpus(name)
    return find_gpu(name, size or None) or (rows[0] if len(rows) == 1 or (rows and rows[0].is_unified) else None)


def _of_part(part: str) -> _Seen:
    def said(name: str, form: str) -> str:
        match = re.search(rf"^\s*{name}\s*=\s*({form})", part, re.MULTILINE)
        return match[1] if match else ""

    kind = _DEVICE.search(part)
    heaps = [(int(size), flag) for size, flag in _HEAP.findall(part)]
    return _Seen(
        name=said("deviceName", r".*\S"),
        kind=kind[1] if kind else "",
        vendor=int(said("vendorID", r"0x[0-9a-fA-F]{1,8}") or "0", 16),
        device=int(said("deviceID", r"0x[0-9a-fA-F]{1,8}") or "0", 16),
        local=sum(size for size, flag in heaps if "DEVICE_LOCAL" in flag),
    )


def _merged(seen: Iterator[_Seen]) -> list[_Seen]:
    """Devices that are named; the full text lists each of them once, whatever it says before."""
    return [item for item in seen if item.name]


def _gpus(seen: list[_Seen], where: str) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    used = [item for item in seen if item.kind in _USED]
    if not used:
        raise InputError(
            f"{where}: expected a GPU, vulkaninfo lists only {', '.join(item.name for item in seen)[:80] or 'nothing'}"
        )
    gpus, notes = [], []
    for index, item in enumerate(used):
        row = item.row
        total = item.local // MIB * MIB or ((row.visible or row.memory) if row and not row.is_unified else 0)
        is_unified = item.kind == "INTEGRATED_GPU"
        name = row.name if row else plain_name(item.name)
        if not item.local:
            told = "taken from the table" if total else "unknown; save vulkaninfo without --summary"
            notes.append(f"{name}: memory not listed, {told}")
        limit = (
            {"gtt": total, "limit_source": f"{where}: heaps that are local to the device"}
            if is_unified and item.local
            else {}
        )
        gpus.append(_gpu(f"Vulkan{index}", name, total, is_unified=is_unified, limit=limit))
    return tuple(gpus), tuple(notes)


def _gpu(name: str, description: str, total: int, *, is_unified: bool, limit: dict[str, Any]) -> Gpu:
    return Gpu(name=name, description=description, total=total, free=total, is_unified=is_unified, **limit)

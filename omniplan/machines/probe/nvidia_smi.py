"""GPUs from ``nvidia-smi -q -x``: of this host without NVML's bindings, or saved on another."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

from omniplan.domain.machine import Gpu, Reservation, ReservationKind
from omniplan.errors import InputError
from omniplan.machines.probe.hwloc_xml import parse_xml
from omniplan.machines.probe.nvml import IDLE_LINK, short_pci
from omniplan.machines.probe.programs import ask
from omniplan.machines.shares import assumed_reserve
from omniplan.units import MIB


def ask_nvidia_smi() -> str:
    """What nvidia-smi of this host prints; raises InputError where it is not there or does not answer."""
    return ask(["nvidia-smi", "-q", "-x"])


def parse_smi(text: str, *, where: str = "nvidia-smi XML") -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """GPUs in the file's order (by PCI id), called "NVML0" and on, and notes; raises InputError with the element."""
    root = parse_xml(text, where=where)
    if root.tag != "nvidia_smi_log":
        raise InputError(f"{where}: expected <nvidia_smi_log> from nvidia-smi -q -x, got <{root.tag[:40]}>")
    found = root.findall("gpu")
    if not found:
        raise InputError(f"{where}: lists no <gpu>; save it again where nvidia-smi sees one")
    gpus = tuple(_gpu(item, index, f"{where}: gpu[{index}]") for index, item in enumerate(found))
    return gpus, tuple(note for gpu in gpus for note in _notes(gpu))


def _gpu(item: ET.Element, index: int, where: str) -> Gpu:
    total = _mib(item, "fb_memory_usage/total", where)
    free = _mib(item, "fb_memory_usage/free", where)
    if total is None:
        raise InputError(f"{where}.fb_memory_usage.total: expected a size in MiB")
    busid = item.get("id") or _text(item, "pci/pci_bus_id")
    rows = _reserved(item, total - min(total, total if free is None else free), where)
    if _text(item, "driver_model/current_dm") == "WDDM":
        rows = (*rows, *_of_windows(total, sum(row.size for row in rows)))
    power = re.match(
        r"([\d.]+) W$", _first(item, "gpu_power_readings/current_power_limit", "power_readings/power_limit")
    )
    return Gpu(
        name=f"NVML{index}",
        description=_text(item, "product_name").removeprefix("NVIDIA ").removeprefix("GeForce "),
        total=total,
        free=total - sum(row.size for row in rows),
        uuid=_text(item, "uuid"),
        pci=short_pci(busid),
        pcie_generation=_count(item, "pci/pci_gpu_link_info/pcie_gen/current_link_gen"),
        pcie_width=_count(item, "pci/pci_gpu_link_info/link_widths/current_link_width"),
        pcie_generation_max=_count(item, "pci/pci_gpu_link_info/pcie_gen/max_link_gen"),
        pcie_width_max=_count(item, "pci/pci_gpu_link_info/link_widths/max_link_width"),
        power_limit=float(power[1]) if power else None,
        is_display=_text(item, "display_active") == "Enabled",
        reserved=rows,
    )


def _reserved(item: ET.Element, in_use: int, where: str) -> tuple[Reservation, ...]:
    rows = [(_mib(item, "fb_memory_usage/reserved", where) or 0, "driver", ReservationKind.DRIVER)]
    for process in item.findall("processes/process_info"):
        name = _text(process, "process_name").split() or [""]
        reason = f"process {_text(process, 'pid')} {name[0].rsplit('/', 1)[-1]}".rstrip()
        rows.append((_mib(process, "used_memory", where) or 0, reason, ReservationKind.PROCESS))
    rows.append((in_use, "in use, by nothing nvidia-smi names", ReservationKind.PROCESS))
    kept: list[Reservation] = []
    for size, reason, kind in rows:
        left = in_use - sum(row.size for row in kept)
        kept.append(Reservation(size=min(size, left), reason=reason, kind=kind))
    return tuple(row for row in kept if row.size)


def _of_windows(total: int, in_use: int) -> tuple[Reservation, ...]:
    """What Windows keeps of a card beyond what is in use already."""
    kept = assumed_reserve(ReservationKind.WDDM, total)
    return (replace(kept, size=kept.size - in_use),) if kept.size > in_use else ()


def _notes(gpu: Gpu) -> list[str]:
    now, most = gpu.pcie_generation, gpu.pcie_generation_max
    if now and most and now < most:
        return [f"{gpu.description}: PCIe {now}.0 now, {most}.0 possible; {IDLE_LINK}"]
    return []


def _text(item: ET.Element, path: str) -> str:
    return (item.findtext(path) or "").strip()


def _first(item: ET.Element, *paths: str) -> str:
    return next(filter(None, (_text(item, path) for path in paths)), "")


def _count(item: ET.Element, path: str) -> int | None:
    found = re.match(r"(\d{1,3})x?$", _text(item, path))
    return int(found[1]) if found else None


def _mib(item: ET.Element, path: str, where: str) -> int | None:
    """Bytes of a text such as "24564 MiB"; None for "N/A" or nothing."""
    text = _text(item, path)
    if text in ("", "N/A", "[N/A]", "Not Supported"):
        return None
    found = re.fullmatch(r"(\d{1,9}) MiB", text)
    if found is None:
        raise InputError(f"{where}.{path.replace('/', '.')}: expected a size such as 24564 MiB, got {text[:40]!r}")
    return int(found[1]) * MIB

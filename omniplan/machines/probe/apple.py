"""Macs from ``system_profiler SPHardwareDataType SPDisplaysDataType -json`` and ``sysctl hw machdep.cpu iogpu``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from omniplan.domain.machine import Gpu, Machine, Memory, ReservationKind
from omniplan.domain.processor import Cpu
from omniplan.errors import InputError
from omniplan.machines.cpus import find_cpu
from omniplan.machines.gpus import find_gpu, find_gpus
from omniplan.machines.probe.plain import checked, key
from omniplan.machines.shares import assumed_reserve, drawing_on
from omniplan.units import GIB, MIB

_HARDWARE: Final = "SPHardwareDataType"
_DISPLAYS: Final = "SPDisplaysDataType"
_LINE: Final = re.compile(r"^(hw|machdep|iogpu|vm)((?:\.\w+)+)[:=]\s*(.*?)\s*$", re.MULTILINE)
_SIZE: Final = re.compile(r"(\d{1,5}) ?(GB|TB)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hardware:
    """The overview: "Apple M3 Ultra", "512 GB", and cores as "proc 32:24:8"."""

    chip: str = key("chip_type", "")
    cpu: str = key("cpu_type", "")
    memory: str = key("physical_memory", "")
    cores: str | int = key("number_processors", "")
    machine: str = key("machine_name", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Display:
    """A GPU: its model, how many cores it has, whose it is."""

    model: str = key("sppci_model", "")
    vendor: str = key("spdisplays_vendor", "")
    screens: tuple[object, ...] = key("spdisplays_ndrvs", ())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Profile:
    """The whole answer."""

    hardware: tuple[_Hardware, ...] = key(_HARDWARE, ())
    displays: tuple[_Display, ...] = key(_DISPLAYS, ())


def is_profile(raw: object) -> bool:
    """Whether plain data is what system_profiler prints."""
    return isinstance(raw, dict) and bool({_HARDWARE, _DISPLAYS} & raw.keys())


def is_sysctl(text: str) -> bool:
    """Whether a text is what sysctl prints."""
    return "hw.memsize" in dict(_named(text))


def parse_profile(raw: object, where: str) -> Machine:
    """The Mac that system_profiler describes; raises InputError where it names no chip or no memory."""
    said = checked(_Profile, raw, where)
    hardware = said.hardware[0] if said.hardware else _Hardware()
    display = next((item for item in said.displays if item.model), _Display())
    size = _SIZE.fullmatch(hardware.memory.strip())
    total = int(size[1]) * (GIB if size[2] == "GB" else GIB << 10) if size else 0
    counts = [int(word) for word in re.findall(r"\d{1,3}", str(hardware.cores))[:3]]
    cores, fast, slow = (*counts, 0, 0, 0)[:3]
    cpu = Cpu(
        model=hardware.chip or hardware.cpu,
        n_cores=cores,
        n_threads=cores,
        n_performance_cores=fast if fast + slow == cores else 0,
        n_efficiency_cores=slow if fast + slow == cores else 0,
    )
    is_display = any(item.screens for item in said.displays)
    return _mac(display.model or hardware.chip, total, cpu, where, is_display=is_display)


def parse_sysctl(text: str, where: str) -> Machine:
    """The Mac that sysctl describes, with the limit that was set for its GPU; raises InputError as above."""
    named = dict(_named(text))
    chip = named.get("machdep.cpu.brand_string", "")
    fast, slow = (_number(named, f"hw.perflevel{level}.physicalcpu") for level in (0, 1))
    cores = _number(named, "hw.physicalcpu")
    cpu = Cpu(
        model=chip,
        n_cores=cores,
        n_threads=_number(named, "hw.logicalcpu") or cores,
        n_performance_cores=fast if fast + slow == cores else 0,
        n_efficiency_cores=slow if fast + slow == cores else 0,
    )
    machine = _mac(chip, _number(named, "hw.memsize"), cpu, where, is_display=False)
    limit = _number(named, "iogpu.wired_limit_mb") * MIB
    gpus = tuple(_limited(gpu, limit) if limit else gpu for gpu in machine.gpus)
    notes = () if limit else machine.notes
    return replace(machine, gpus=gpus, notes=notes)


def _limited(gpu: Gpu, limit: int) -> Gpu:
    size = min(limit, gpu.total)
    free = min(size, gpu.total - sum(item.size for item in gpu.reserved))
    return replace(gpu, working_set=size, free=free, limit_source="iogpu.wired_limit_mb")


def _mac(chip: str, total: int, cpu: Cpu, where: str, *, is_display: bool) -> Machine:
    if not chip or not 0 < total < 1 << 50:
        missing = "chip" if not chip else "size of memory"
        raise InputError(f"{where}: names no {missing}; ask `system_profiler {_HARDWARE} {_DISPLAYS} -json`")
    total = total // MIB * MIB
    row = find_gpu(chip) or next(iter(find_gpus(chip)), None)
    known = find_cpu(cpu.model) if cpu.model else None
    memory = Memory(
        total=total,
        reserved=(assumed_reserve(ReservationKind.SYSTEM, total),),
        channels=known.channels if known else None,
        speed_mts=known.speed_mts if known else None,
        bandwidth=known.bandwidth if known else None,
    )
    gpu = Gpu(name="MTL0", description=row.name if row else chip, total=total, free=0, is_display=is_display)
    gpu, notes = drawing_on(gpu, memory, "apple")
    return Machine(
        name=Path(where).stem,
        description=chip,
        gpus=(gpu,),
        memory=memory,
        cpu=replace(cpu, features=known.features if known else ()),
        notes=notes,
        source=where,
    )


def _named(text: str) -> list[tuple[str, str]]:
    return [(f"{top}{rest}", value) for top, rest, value in _LINE.findall(text)]


def _number(named: Mapping[str, str], name: str) -> int:
    text = named.get(name, "")
    return int(text) if re.fullmatch(r"\d{1,15}", text) else 0

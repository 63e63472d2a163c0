"""What programs of other systems print, each known by its form, as the machine that it describes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final

from omniplan.domain.machine import Gpu, Machine
from omniplan.errors import InputError
from omniplan.machines.gpus import described
from omniplan.machines.probe import amd, amd_smi, apple, vulkaninfo, windows
from omniplan.machines.probe.amd import AmdGpu
from omniplan.machines.probe.plain import json_of

# What can be handed in beside XML and machine files, for messages.
KNOWN: Final = (
    "rocm-smi --showproductname --showbus --showmeminfo vram gtt --json",
    "amd-smi static --json",
    "amd-smi metric --json",
    'grep -s "" /sys/class/drm/card*/device/*',
    "vulkaninfo",
    "system_profiler SPHardwareDataType SPDisplaysDataType -json",
    "sysctl hw machdep.cpu iogpu",
    "PowerShell's CIM as JSON",
)
_Gpus = tuple[tuple[Gpu, ...], tuple[str, ...]]


def of_text(text: str, where: str) -> Machine | None:
    """The machine that ``text`` describes, None where it is in no known form; raises InputError with ``where``."""
    if re.match(r"\s*[\[{]", text) and (raw := _json(text, where)) is not None:
        return _of_json(raw, where)
    if vulkaninfo.is_text(text):
        return _with(vulkaninfo.parse_text(text, where), where)
    if apple.is_sysctl(text):
        return _described(apple.parse_sysctl(text, where))
    if amd.LISTED.search(text):
        return _with(_rocm(amd.parse_listing(text, where), where), where)
    return None


def _json(text: str, where: str) -> Any:
    """What JSON says; None where a list in brackets may be a machine file's own."""
    try:
        return json_of(text, where)
    except InputError:
        if text.lstrip().startswith("{"):
            raise
    return None


def _of_json(raw: Any, where: str) -> Machine | None:
    """The same of JSON; a machine's own has none of these forms."""
    if apple.is_profile(raw):
        return _described(apple.parse_profile(raw, where))
    if vulkaninfo.is_json(raw):
        return _with(vulkaninfo.parse_json(raw, where), where)
    smi: tuple[tuple[Callable[[Any], bool], Callable[[Any, str], tuple[AmdGpu, ...]]], ...] = (
        (amd_smi.is_rocm_smi, amd_smi.parse_rocm_smi),
        (amd_smi.is_amd_smi, amd_smi.parse_amd_smi),
    )
    for is_known, parse in smi:
        if is_known(raw):
            return _with(_rocm(parse(raw, where), where), where)
    return _described(windows.parse_cim(raw, where)) if windows.is_cim(raw) else None


def _rocm(seen: tuple[AmdGpu, ...], where: str) -> _Gpus:
    return amd.gpus_of(seen, "ROCm", where)


def _with(found: _Gpus, where: str) -> Machine:
    gpus, notes = found
    return _described(Machine(name=Path(where).stem, gpus=gpus, notes=notes, source=where))


def _described(machine: Machine) -> Machine:
    return replace(machine, gpus=tuple(described(gpu) for gpu in machine.gpus))


def joined(gpus: Sequence[Gpu], others: Sequence[Gpu]) -> tuple[Gpu, ...]:
    """``gpus`` with what only ``others`` of the same names know of them; ``others`` where there are none."""
    known = {gpu.name: gpu for gpu in others}
    return tuple(_filled(gpu, known[gpu.name]) if gpu.name in known else gpu for gpu in gpus) or tuple(others)


def _filled(gpu: Gpu, other: Gpu) -> Gpu:
    """One GPU from two descriptions: whichever knows the share of RAM it may take says its memory."""
    knows = other if (not gpu.total or (other.gtt and not gpu.gtt)) else gpu
    memory = {"total", "free", "reserved", "gtt", "carve_out", "working_set", "limit_source", "is_unified"}
    rest = {
        item.name: getattr(other, item.name)
        for item in fields(gpu)
        if item.name not in memory and not getattr(gpu, item.name)
    }
    return replace(gpu, **rest, **{name: getattr(knows, name) for name in memory})

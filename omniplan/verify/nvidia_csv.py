"""Memory in use as ``nvidia-smi --query-gpu=... --format=csv`` writes it."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from omniplan.documents.text_file import read_utf8
from omniplan.domain.hosts import own_gpus
from omniplan.domain.machine import Machine
from omniplan.errors import InputError
from omniplan.units import MIB
from omniplan.verify.values import GpuUsage

HOW: Final = "nvidia-smi --query-gpu=index,name,uuid,memory.used,memory.total --format=csv"
_UNIT: Final = re.compile(r"\s*\[[^\]]*\]")
_NUMBER: Final = re.compile(r"(\d{1,9})(?:\.\d+)?\s*(?:MiB)?")


def read_usage(path: str | Path, machine: Machine | None) -> tuple[GpuUsage, ...]:
    """The most memory in use per GPU over all samples in the file; raises InputError.

    GPUs are matched by UUID or PCI address where ``machine`` has them, else by index.
    """
    try:
        text = read_utf8(path).removeprefix("\ufeff")
        rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if any(map(str.strip, row))]
    except csv.Error as error:
        raise InputError(f"{path}: cannot be read as CSV: {error}") from error
    names = [_UNIT.sub("", cell).strip().lower() for cell in rows[0]] if rows else []
    if "memory.used" not in names:
        raise InputError(f"{path}: has no column memory.used in its first line; write it with `{HOW}`")
    found: dict[str, GpuUsage] = {}
    for number, row in enumerate(rows[1:], 2):
        if [_UNIT.sub("", cell).strip().lower() for cell in row] == names:
            continue
        usage = _usage(dict(zip(names, row, strict=False)), machine, len(found), f"{path}: line {number}")
        known = found.get(usage.device)
        found[usage.device] = usage if known is None or usage.used > known.used else known
    if not found:
        raise InputError(f"{path}: has no row below its first line; write it with `{HOW}`")
    return tuple(found.values())


def _usage(row: Mapping[str, str], machine: Machine | None, position: int, place: str) -> GpuUsage:
    used = _mib(row.get("memory.used", ""))
    if used is None:
        raise InputError(f"{place}: memory.used is {row.get('memory.used', '')!r}, expected MiB")
    return GpuUsage(
        device=_device(row, machine, position),
        description=row.get("name", ""),
        used=used,
        total=_mib(row.get("memory.total", "")),
    )


def _mib(text: str) -> int | None:
    match = _NUMBER.fullmatch(text.strip())
    return int(match[1]) * MIB if match else None


def _device(row: Mapping[str, str], machine: Machine | None, position: int) -> str:
    gpus = own_gpus(machine) if machine else ()
    for gpu in gpus:
        own = {gpu.uuid.lower(), gpu.pci.lower()[-10:]} - {""}
        if own & {row.get("uuid", "").lower(), row.get("pci.bus_id", "").lower()[-10:]}:
            return gpu.name
    index = row.get("index", "")
    at = int(index) if index.isdigit() else position
    return gpus[at].name if at < len(gpus) else f"CUDA{at}"

"""AMD GPUs from what ``rocm-smi --json`` and ``amd-smi static`` and ``metric --json`` print."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from omniplan.errors import InputError
from omniplan.machines.pci import amd_name
from omniplan.machines.probe.amd import AmdGpu, generation, lanes
from omniplan.machines.probe.nvml import short_pci
from omniplan.machines.probe.plain import checked, key
from omniplan.units import MIB

_CARD: Final = re.compile(r"card\d+")
_UNITS: Final = {"B": 1, "KB": 1 << 10, "MB": MIB, "GB": MIB << 10}
_UNNAMED: Final = ("", "N/A", "AMD Radeon Graphics", "Radeon Graphics")


@dataclass(frozen=True, slots=True, kw_only=True)
class _RocmCard:
    """One card of ``rocm-smi --showproductname --showbus --showmeminfo vram gtt --json``; numbers are texts."""

    series: str = key("Card Series", "")
    older_series: str = key("Card series", "")
    model: str = key("Card Model", "")
    device_name: str = key("Device Name", "")
    device_id: str = key("Device ID", "")
    revision: str = key("Device Rev", "")
    bus: str = key("PCI Bus", "")
    vram: int | None = key("VRAM Total Memory (B)")
    vram_used: int = key("VRAM Total Used Memory (B)", 0)
    gtt: int | None = key("GTT Total Memory (B)")
    gtt_used: int = key("GTT Total Used Memory (B)", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Amount:
    """A number with its unit."""

    value: float | str
    unit: str = ""


_Said = _Amount | float | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asic:
    """``asic`` of amd-smi."""

    market_name: str = ""
    device_id: str = ""
    rev_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bus:
    """``bus`` of amd-smi."""

    bdf: str = ""
    max_pcie_width: int | str | None = None
    max_pcie_speed: _Said = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Vram:
    """``vram`` of amd-smi."""

    type: str = ""
    size: _Said = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Usage:
    """``mem_usage`` of amd-smi."""

    total_vram: _Said = None
    used_vram: _Said = None
    total_gtt: _Said = None
    used_gtt: _Said = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _AmdSmi:
    """One GPU of ``amd-smi static`` or ``amd-smi metric``."""

    gpu: int
    asic: _Asic | str | None = None
    bus: _Bus | str | None = None
    vram: _Vram | str | None = None
    mem_usage: _Usage | str | None = None


def is_rocm_smi(raw: object) -> bool:
    """Whether plain data is what rocm-smi prints."""
    return isinstance(raw, dict) and any(isinstance(name, str) and _CARD.fullmatch(name) for name in raw)


def is_amd_smi(raw: object) -> bool:
    """Whether plain data is what amd-smi prints."""
    rows = _rows(raw)
    return bool(rows) and all(isinstance(row, dict) and "gpu" in row for row in rows)


def parse_rocm_smi(raw: dict[str, Any], where: str) -> tuple[AmdGpu, ...]:
    """The cards of ``rocm-smi --json``, in its order; raises InputError with the path of what is wrong."""
    names = sorted((name for name in raw if _CARD.fullmatch(name)), key=lambda name: int(name[4:][:9]))
    return tuple(_of_card(checked(_RocmCard, raw[name], f"{where}: {name}")) for name in names)


def _of_card(card: _RocmCard) -> AmdGpu:
    said = next((name for name in (card.series, card.older_series, card.device_name) if name not in _UNNAMED), "")
    return AmdGpu(
        name=_by_id(card.device_id or card.model, card.revision) or said or "AMD GPU",
        pci=short_pci(card.bus),
        vram=card.vram,
        vram_used=card.vram_used,
        gtt=card.gtt,
        gtt_used=card.gtt_used,
    )


def parse_amd_smi(raw: object, where: str) -> tuple[AmdGpu, ...]:
    """The GPUs of ``amd-smi --json``, in its order; raises InputError with the path of what is wrong."""
    found = [checked(_AmdSmi, row, f"{where}: gpu[{index}]") for index, row in enumerate(_rows(raw))]
    if not found:
        raise InputError(f"{where}: lists no GPU; expected its JSON of a host that has one")
    return tuple(_of_smi(row) for row in sorted(found, key=lambda row: row.gpu))


def _rows(raw: object) -> list[Any]:
    rows = raw.get("gpu_data") if isinstance(raw, dict) else raw
    return rows if isinstance(rows, list) else []


def _of_smi(row: _AmdSmi) -> AmdGpu:
    asic = row.asic if isinstance(row.asic, _Asic) else _Asic()
    bus = row.bus if isinstance(row.bus, _Bus) else _Bus()
    vram = row.vram if isinstance(row.vram, _Vram) else _Vram()
    usage = row.mem_usage if isinstance(row.mem_usage, _Usage) else _Usage()
    said = "" if asic.market_name in _UNNAMED else asic.market_name
    return AmdGpu(
        name=_by_id(asic.device_id, asic.rev_id) or said,
        pci=short_pci(bus.bdf),
        vram=_bytes(usage.total_vram) or _bytes(vram.size),
        vram_used=_bytes(usage.used_vram) or 0,
        gtt=_bytes(usage.total_gtt),
        gtt_used=_bytes(usage.used_gtt) or 0,
        generation=generation(_number(bus.max_pcie_speed) or 0.0),
        width=lanes(bus.max_pcie_width) if isinstance(bus.max_pcie_width, int) else None,
        # DDR is RAM, whoever reads it.
        is_apu=bool(re.match(r"(?:LP)?DDR", vram.type)),
    )


def _number(said: _Said) -> float | None:
    """The number of an amount, with its unit or without; None for "N/A"."""
    value = said.value if isinstance(said, _Amount) else said
    return float(value) if isinstance(value, int | float) and 0 <= value < 1 << 50 else None


def _bytes(said: _Said) -> int | None:
    """Bytes of an amount, which amd-smi counts in MB of 1024 KB where it does not say."""
    number, unit = _number(said), said.unit if isinstance(said, _Amount) else "MB"
    return round(number * _UNITS.get(unit, MIB)) if number is not None else None


def _by_id(device: str, revision: str) -> str:
    """The name of a GPU by ids such as "0x744c" and "0xc8"."""
    number, rev = (int(text, 16) if re.fullmatch(r"0x[0-9a-fA-F]{1,4}", text) else 0 for text in (device, revision))
    return amd_name(number, rev) if number else ""

"""A Machine as plain data: which key of a machine file holds which value, and in which unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Final

from omniplan.domain.machine import Cpu, Gpu, LearnedConstant, Machine, Memory, NumaNode, Reservation
from omniplan.units import MIB

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# Keys that differ from the value's own name, with the unit they are written in.
_UNITS: Final[Mapping[str, tuple[str, float]]] = {
    "total": ("total_mib", MIB),
    "free": ("free_mib", MIB),
    "beside": ("beside_mib", MIB),
    "size": ("mib", MIB),
    "swap": ("swap_mib", MIB),
    "huge_pages": ("huge_pages_mib", MIB),
    "l3": ("l3_mib", MIB),
    "bandwidth": ("bandwidth_gbs", 1e9),
    "link_bandwidth": ("link_gbs", 1e9),
    "fp16_flops": ("fp16_tflops", 1e12),
    "int8_ops": ("int8_tops", 1e12),
    "power_limit": ("power_limit_w", 1),
    "is_display": ("display", 1),
    "is_unified": ("unified", 1),
}
_ROWS: Final = (Cpu, Gpu, LearnedConstant, Memory, NumaNode, Reservation)
# Always written after the plain keys, as TOML wants tables last.
_TABLES: Final = ("cpu", "memory", "numa_nodes", "gpus", "constants", "reserved")


def write(machine: Machine) -> dict[str, object]:
    """Plain data that ``Machine.from_dict`` turns back into an equal machine; unknown fields are left out."""
    return _table(machine)


def _table(value: DataclassInstance) -> dict[str, object]:
    names = [item.name for item in fields(value) if not _is_silent(value, item.name, item.default)]
    names.sort(key=lambda name: _TABLES.index(name) if name in _TABLES else -1)
    return dict(_entry(name, getattr(value, name)) for name in names)


def _is_silent(value: DataclassInstance, name: str, default: object) -> bool:
    """Whether the reader would put the same value there by itself."""
    item = getattr(value, name)
    if isinstance(value, Gpu) and name == "free":
        return bool(item == value.total - sum(row.size for row in value.reserved))
    return default is not MISSING and item == default


def _entry(name: str, value: object) -> tuple[str, object]:
    if name in _UNITS and not isinstance(value, bool):
        key, unit = _UNITS[name]
        assert isinstance(value, int | float)
        return key, _plain(value / unit, digits=20 if unit == MIB else 9)
    key = _UNITS.get(name, (name, 1))[0]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return key, [_table(item) if isinstance(item, _ROWS) else item for item in value]
    return key, _table(value) if isinstance(value, _ROWS) else value


def _plain(value: float, digits: int) -> int | float:
    """Without the noise that dividing by 1e9 leaves (MiB are exact), and whole where it is whole."""
    near = round(value, digits)
    return int(near) if near == int(near) else near

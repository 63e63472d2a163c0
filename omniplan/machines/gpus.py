"""Rows of ``data/gpus.toml``: what makers say of their GPUs, found by the names people and drivers use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Final

from omniplan.documents.column import Column, Count, Gbs, Group, Mib, Name, Tera
from omniplan.documents.source import read_table
from omniplan.domain.machine import ComputeCapability, Gpu
from omniplan.units import MIB

_FILE: Final = "gpus.toml"
# Words that say nothing about which card it is.
_NOISE: Final = {"nvidia", "geforce", "amd", "radeon", "intel", "generation", "edition", "graphics", "gpu", "tm", "r"}

# Families whose members' numbers are their own.
_FAMILY: Final = re.compile(r"^(?:Tesla|Quadro(?= (?:M|P|GP|GV))|Instinct|Jetson|Radeon|Apple|Arc(?= Pro)) ")


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuRow:
    """One GPU model: bytes, bytes per second, dense tensor operations per second; None where makers do not say.

    ``visible`` is the total a driver shows, where it was seen; ``group`` the section of the table.
    """

    name: Name
    group: Group
    memory: Mib
    source: str
    visible: Mib | None = None
    bandwidth: Gbs | None = None
    compute_capability: ComputeCapability = ""
    multiprocessors: Count | None = None
    fp16_flops: Annotated[Tera | None, Column(key="fp16_tflops")] = None
    int8_ops: Annotated[Tera | None, Column(key="int8_tops")] = None
    pcie: Count | None = None
    lanes: Count | None = None
    is_unified: Annotated[bool, Column(key="unified")] = False
    aliases: tuple[str, ...] = ()

    @property
    def is_spec_only(self) -> bool:
        """Whether no speed of such a GPU has been held to a measurement."""
        return self.group == "intel"


@cache
def gpu_rows() -> tuple[GpuRow, ...]:
    """Every row, in the table's order; raises TableError."""
    groups = read_table(_FILE, dict[str, dict[str, GpuRow]])
    # One of the same name in another group is a user's own, and stands for it.
    return tuple({key_of(row.name): row for rows in groups.values() for row in rows.values()}.values())


def key_of(name: str) -> str:
    """A name without maker, punctuation and spacing: "NVIDIA GeForce RTX 4090" and "rtx4090" are one."""
    words = re.findall(r"[a-z]+|\d+(?:\.\d+)?", name.lower().replace("gib", "gb"))
    return "".join(word for word in words if word not in _NOISE)


def plain_name(name: str) -> str:
    """A driver's name without signs, brackets and "Graphics", such as "Intel(R) Arc(TM) B580 Graphics (BMG G21)"."""
    unsigned = re.sub(r"\((?:tm|r)\)", "", name, flags=re.IGNORECASE)
    return re.sub(r"\s*\(.*|\s+Graphics\b.*", "", unsigned).strip()


def _keys(row: GpuRow) -> Iterator[str]:
    """Keys of a row's names, without the family as well: "Tesla P40" is "P40" too."""
    for name in (row.name, *row.aliases):
        yield key_of(name)
        yield key_of(_FAMILY.sub("", name))


@cache
def _index() -> dict[str, tuple[GpuRow, ...]]:
    found: dict[str, list[GpuRow]] = {}
    for row in gpu_rows():
        for name in dict.fromkeys(_keys(row)):
            found.setdefault(name, []).append(row)
    return {name: tuple(rows) for name, rows in found.items()}


def find_gpus(name: str) -> tuple[GpuRow, ...]:
    """Rows called ``name``: none, one, or several that differ in memory."""
    return _index().get(key_of(name), ())


def find_gpu(name: str, total: int | None = None) -> GpuRow | None:
    """The row called ``name``; among several, the one of ``total`` bytes, or of just that name; None if unclear."""
    rows = find_gpus(name)
    if total is None:
        named = [row for row in rows if key_of(row.name) == key_of(name)] or list(rows)
        return named[0] if len(named) == 1 else None
    near = [row for row in rows if abs(row.memory - total) <= row.memory // 16 or row.is_unified]
    nearest = min((abs(row.memory - total) for row in near), default=0)
    near = [row for row in near if abs(row.memory - total) <= nearest + 64 * MIB]
    return near[0] if len(near) == 1 else None


def known_names() -> Iterable[str]:
    """Every name and alias, for suggestions."""
    return (name for row in gpu_rows() for name in (row.name, *row.aliases))


def described(gpu: Gpu) -> Gpu:
    """``gpu`` with what its table row knows and the probe does not."""
    row = find_gpu(gpu.description, gpu.total or None)
    if row is None:
        return gpu
    return replace(
        gpu,
        is_unified=gpu.is_unified or row.is_unified,
        compute_capability=gpu.compute_capability or row.compute_capability,
        bandwidth=gpu.bandwidth or row.bandwidth,
        fp16_flops=gpu.fp16_flops or row.fp16_flops,
        int8_ops=gpu.int8_ops or row.int8_ops,
        pcie_generation_max=gpu.pcie_generation_max or row.pcie,
        pcie_width_max=gpu.pcie_width_max or row.lanes,
    )

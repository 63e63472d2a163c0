"""Rows of ``data/cpus.toml``: cores, caches and memory channels of processors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from omniplan.documents.column import Count, Mib, Name
from omniplan.documents.source import read_table

_FILE: Final = "cpus.toml"
_NOISE: Final = {"amd", "intel", "ryzen", "core", "xeon", "epyc", "threadripper", "processor", "cpu", "tm", "r"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuRow:
    """One processor model, per socket; ``speed_mts`` is the fastest memory its maker supports, ``isa`` its features."""

    name: Name
    cores: Count
    threads: Count
    channels: Count
    speed_mts: Count
    l3: Mib = 0
    isa: str
    source: str
    performance_cores: Count = 0
    efficiency_cores: Count = 0

    @property
    def bandwidth(self) -> float:
        """Nominal bytes per second of one socket."""
        return self.channels * self.speed_mts * 8e6

    @property
    def features(self) -> tuple[str, ...]:
        """Instruction sets that ggml's CPU backend has kernels for."""
        return _table().isa[self.isa]


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuTable:
    """The whole table: instruction sets by the name of their generation, and processors."""

    isa: Mapping[str, tuple[str, ...]]
    cpu: Mapping[str, CpuRow]

    def faults(self) -> Iterator[tuple[str, str]]:
        """Rows of a generation that there is not."""
        for name, row in self.cpu.items():
            if row.isa not in self.isa:
                yield f"cpu.{name}.isa", f"expected one of {', '.join(self.isa)}, got {row.isa!r}"


@cache
def _table() -> CpuTable:
    return read_table(_FILE, CpuTable)


def cpu_rows() -> tuple[CpuRow, ...]:
    """Every row, in the table's order; raises TableError."""
    # One that differs in maker and spacing alone is a user's own, and stands for the shipped one.
    return tuple({_key(row.name): row for row in _table().cpu.values()}.values())


def _key(name: str) -> str:
    """The model number: "AMD Ryzen Threadripper PRO 9995WX" is "9995wx", "Intel Core i9-14900K" is "i9 14900k"."""
    words = re.findall(r"[a-z0-9+]+", name.lower().replace("(r)", "").replace("(tm)", ""))
    return " ".join(word for word in words if word not in _NOISE and word != "pro")


@cache
def _index() -> Mapping[str, tuple[CpuRow, ...]]:
    """Rows by their keys, and by what their keys end with where that is no row's own: "14900k" for "i9 14900k"."""
    whole: dict[str, tuple[CpuRow, ...]] = {}
    ends: dict[str, tuple[CpuRow, ...]] = {}
    for row in cpu_rows():
        words = _key(row.name).split()
        whole[" ".join(words)] = (*whole.get(" ".join(words), ()), row)
        for start in range(1, len(words)):
            end = " ".join(words[start:])
            ends[end] = (*ends.get(end, ()), row) if len(end) > 3 else ()
    return {**ends, **whole}


def find_cpu(name: str) -> CpuRow | None:
    """The row called ``name``, with or without its family; None when no row, or more than one, has that name."""
    wanted = _key(name)
    rows = _index().get(wanted, ())
    return rows[0] if len(rows) == 1 else None


def find_described(text: str) -> CpuRow | None:
    """The row of the processor that ``text`` names among how many there are and what else is said of it."""
    return find_cpu(re.sub(r"^\d+\s*x\s+|\s*\(.*", "", text).strip())


def known_names() -> Iterable[str]:
    """Every name, for suggestions."""
    return (row.name for row in cpu_rows())

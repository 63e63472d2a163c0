"""Rows of ``data/cpus.toml``: cores, caches and memory channels of processors."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

from omniplan.documents.fields import Fields
from omniplan.documents.source import read_table, wrong_rows
from omniplan.units import MIB

_FILE: Final = "cpus.toml"
_NOISE: Final = {"amd", "intel", "ryzen", "core", "xeon", "epyc", "threadripper", "processor", "cpu", "tm", "r"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuRow:
    """One processor model, per socket; ``speed_mts`` is the fastest memory its maker supports."""

    name: str
    cores: int
    threads: int
    channels: int
    speed_mts: int
    l3: int
    features: tuple[str, ...]
    source: str
    performance_cores: int = 0
    efficiency_cores: int = 0

    @property
    def bandwidth(self) -> float:
        """Nominal bytes per second of one socket."""
        return self.channels * self.speed_mts * 8e6


@cache
def cpu_rows() -> tuple[CpuRow, ...]:
    """Every row, in the table's order; raises TableError."""
    table = dict(read_table(_FILE))
    with wrong_rows(_FILE):
        isa = Fields.of(table.pop("isa"), "isa")
        features = {name: isa.texts(name) for name in isa.raw}
        groups = [Fields.of(rows, group) for group, rows in table.items()]
        return tuple(_row(name, group, features) for group in groups for name in group.raw)


def _row(name: str, table: Fields, features: dict[str, tuple[str, ...]]) -> CpuRow:
    fields = table.table(name)
    assert fields is not None
    row = CpuRow(
        name=name,
        cores=fields.required_count("cores"),
        threads=fields.required_count("threads"),
        channels=fields.required_count("channels"),
        speed_mts=fields.required_count("speed_mts"),
        l3=int((fields.number("l3_mib") or 0) * MIB),
        features=features[fields.choice("isa", tuple(features), "")],
        source=fields.text("source"),
        performance_cores=fields.count("performance_cores") or 0,
        efficiency_cores=fields.count("efficiency_cores") or 0,
    )
    fields.done()
    return row


def _key(name: str) -> str:
    """The model number: "AMD Ryzen Threadripper PRO 9995WX" is "9995wx", "Intel Core i9-14900K" is "i9 14900k"."""
    words = re.findall(r"[a-z0-9+]+", name.lower().replace("(r)", "").replace("(tm)", ""))
    return " ".join(word for word in words if word not in _NOISE and word != "pro")


def find_cpu(name: str) -> CpuRow | None:
    """The row called ``name``, with or without its family; None when no row, or more than one, has that name."""
    wanted = _key(name)
    found = [row for row in cpu_rows() if _key(row.name) == wanted]
    if not found and len(wanted) > 3:
        found = [row for row in cpu_rows() if _key(row.name).endswith(f" {wanted}")]
    return found[0] if len(found) == 1 else None


def known_names() -> Iterable[str]:
    """Every name, for suggestions."""
    return (row.name for row in cpu_rows())

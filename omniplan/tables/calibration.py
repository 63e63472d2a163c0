"""Rows of ``data/calibration.toml``: the constants of the time model, each with its spread and source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from omniplan.errors import TableError
from omniplan.tables.source import read_table

_FILE = "calibration.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """One constant: its value, the range seen, where it comes from and when."""

    value: float
    low: float
    high: float
    source: str
    date: str


@cache
def constants() -> Mapping[str, Constant]:
    """Every constant by its dotted name, such as ``gpu.weights_share``; raises TableError on a wrong row."""
    found = {}
    for group, rows in read_table(_FILE).items():
        for name, raw in rows.items():
            try:
                row = Constant(**raw)
            except TypeError as error:
                raise TableError(f"{_FILE}: {group}.{name}: {error}") from error
            if not 0 < row.low <= row.value <= row.high:
                raise TableError(f"{_FILE}: {group}.{name}: needs 0 < low <= value <= high")
            found[f"{group}.{name}"] = row
    return found


def value(name: str) -> float:
    """The value of one constant."""
    return constants()[name].value

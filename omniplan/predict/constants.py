"""Rows of ``data/calibration.toml`` and of a machine's own file: the time model's constants, each with its source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from omniplan.documents.column import Positive
from omniplan.documents.source import read_table
from omniplan.domain.machine import LearnedConstant
from omniplan.errors import InputError

_FILE: Final = "calibration.toml"
_ERA: Final = "builds-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """One constant: its value, the range seen, where it comes from and when."""

    value: Positive
    low: Positive
    high: Positive
    source: str
    date: str

    def faults(self) -> Iterator[tuple[str, str]]:
        """A value outside the range that it was seen in."""
        if not self.low <= self.value <= self.high:
            yield "value", f"needs low <= value <= high, got {self.low:g}, {self.value:g}, {self.high:g}"


@cache
def constants(build: str = "") -> Mapping[str, Constant]:
    """Every constant by its dotted name, such as ``gpu.weights_share``; raises TableError on a wrong row.

    ``build`` names an older generation of llama.cpp: "2024" is before CUDA graphs and fused kernels. "" is b11434.
    """
    table = read_table(_FILE, dict[str, dict[str, Constant]])
    eras = {group.removeprefix(_ERA): rows for group, rows in table.items() if group.startswith(_ERA)}
    if build and build not in eras:
        raise InputError(f"build: no constants for {build!r}; known: {', '.join(eras)}")
    known = by_name({group: rows for group, rows in table.items() if not group.startswith(_ERA)})
    return {**known, **eras.get(build, {})}


def by_name(table: Mapping[str, Mapping[str, Constant]]) -> dict[str, Constant]:
    """The rows of a file by their dotted names."""
    return {f"{group}.{name}": row for group, rows in table.items() for name, row in rows.items()}


@cache
def shipped(build: str = "") -> Mapping[str, float]:
    """The value of every shipped constant, by name."""
    return {name: row.value for name, row in constants(build).items()}


def known_on(learned: Iterable[LearnedConstant]) -> Mapping[str, float]:
    """The shipped values with a machine's own in their place; raises InputError for a name there is not."""
    own = {constant.name: constant.value for constant in learned}
    if unknown := sorted(own.keys() - shipped().keys()):
        raise InputError(f"constants: {unknown[0]}: no such constant; data/calibration.toml lists them")
    return {**shipped(), **own} if own else shipped()


def value(name: str) -> float:
    """The shipped value of one constant."""
    return shipped()[name]

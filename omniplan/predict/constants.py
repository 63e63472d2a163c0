"""Rows of ``data/calibration.toml`` and of a machine's own file: the time model's constants, each with its source."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from omniplan.documents.column import Positive
from omniplan.documents.own import own_path
from omniplan.documents.record import unknown
from omniplan.documents.source import read_table
from omniplan.domain.evidence import LearnedConstant
from omniplan.errors import InputError, TableError
from omniplan.llamacpp.ggml import table

_FILE: Final = "calibration.toml"
# What a constant is of alone, at the end of its name: GPUs of compute capability 8.6, or of one back end.
_OWN: Final = re.compile(r"_(?:\d+_\d+|([a-z]+))$")


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
def constants() -> Mapping[str, Constant]:
    """Every constant by its dotted name, such as ``gpu.weights_share``; raises TableError on a wrong row."""
    found = by_name(read_table(_FILE, dict[str, dict[str, Constant]]))
    known = by_name(read_table(_FILE, dict[str, dict[str, Constant]], is_whole=False))
    if strange := [name for name in found if not _is_among(name, known)]:
        raise TableError(f"{own_path(_FILE)}: {strange[0]}: {unknown(strange[0], list(known), what='constant')}")
    return found


def by_name(table: Mapping[str, Mapping[str, Constant]]) -> dict[str, Constant]:
    """The rows of a file by their dotted names."""
    return {f"{group}.{name}": row for group, rows in table.items() for name, row in rows.items()}


@cache
def shipped() -> Mapping[str, float]:
    """The value of every shipped constant, by name."""
    return {name: row.value for name, row in constants().items()}


def known_on(learned: Iterable[LearnedConstant]) -> Mapping[str, float]:
    """The shipped values with a machine's own in their place; raises InputError for a name there is not."""
    own = {constant.name: constant.value for constant in learned}
    if strange := sorted(name for name in own if not is_known(name)):
        raise InputError(f"constants: {strange[0]}: no such constant; data/calibration.toml lists them")
    return {**shipped(), **own} if own else shipped()


def is_known(name: str) -> bool:
    """Whether there is such a constant, or one that ``name`` states for GPUs of one compute capability or back end."""
    return _is_among(name, shipped())


def _is_among(name: str, known: Mapping[str, object]) -> bool:
    own = _OWN.search(name)
    return name in known or (
        own is not None and name[: own.start()] in known and (own[1] is None or own[1] in table.rows())
    )

"""Rows of ``data/calibration.toml`` and of a machine's own file: the time model's constants, each with its source."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Final

from omniplan.documents.source import read_table
from omniplan.documents.toml_text import quoted
from omniplan.domain.machine import LearnedConstant
from omniplan.errors import InputError, TableError

_FILE: Final = "calibration.toml"
_ERA: Final = "builds-"
# The part of a machine's own file that is about memory; see omniplan.predict.learned.
LEARNED: Final = "learned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """One constant: its value, the range seen, where it comes from and when."""

    value: float
    low: float
    high: float
    source: str
    date: str


@cache
def constants(build: str = "") -> Mapping[str, Constant]:
    """Every constant by its dotted name, such as ``gpu.weights_share``; raises TableError on a wrong row.

    ``build`` names an older generation of llama.cpp: "2024" is before CUDA graphs and fused kernels. "" is b11434.
    """
    table = read_table(_FILE)
    found = {
        f"{group}.{name}": _constant(raw, f"{_FILE}: {group}.{name}")
        for group, rows in table.items()
        if not group.startswith(_ERA)
        for name, raw in rows.items()
    }
    if not build:
        return found
    if f"{_ERA}{build}" not in table:
        known = ", ".join(group.removeprefix(_ERA) for group in table if group.startswith(_ERA))
        raise InputError(f"build: no constants for {build!r}; known: {known}")
    for name, raw in table[f"{_ERA}{build}"].items():
        found[name] = _constant(raw, f"{_FILE}: {_ERA}{build}.{name}")
    return found


def _constant(raw: Mapping[str, Any], place: str) -> Constant:
    try:
        row = Constant(**raw)
    except TypeError as error:
        raise TableError(f"{place}: {error}") from error
    if not all(isinstance(number, int | float) for number in (row.value, row.low, row.high)):
        raise TableError(f"{place}: value, low and high are numbers")
    if not 0 < row.low <= row.value <= row.high:
        raise TableError(f"{place}: needs 0 < low <= value <= high")
    return row


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


def load(path: str | Path, build: str = "") -> Mapping[str, float]:
    """The shipped values for ``build`` with those of a machine's own file in their place; raises InputError.

    The file has the table's form and may leave out every constant it does not know better.
    """
    return {**shipped(build), **{name: row.value for name, row in own(path, build).items()}}


def read(path: str | Path) -> dict[str, Any]:
    """A machine's own file as plain data; raises InputError."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path}: not a TOML calibration file: {error}") from error


def own(path: str | Path, build: str = "") -> dict[str, Constant]:
    """The constants of a machine's own file alone; raises InputError."""
    table = read(path)
    found: dict[str, Constant] = {}
    for group, rows in table.items():
        if not isinstance(rows, dict):
            raise InputError(f"{path}: {group}: expected a table of constants")
        if group == LEARNED:
            continue
        for name, raw in rows.items():
            place = f"{path}: {group}.{name}"
            if f"{group}.{name}" not in shipped(build):
                raise InputError(f"{place}: no such constant")
            try:
                found[f"{group}.{name}"] = _constant(raw, place)
            except TableError as error:
                raise InputError(str(error)) from error
    return found


def write(rows: Mapping[str, Constant], comment: str) -> str:
    """TOML of ``rows`` in the form ``load`` reads, ``comment`` on top."""
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    for name, row in rows.items():
        lines += ["", f"[{name}]"]
        lines += [f"{field.name} = {_text(getattr(row, field.name))}" for field in fields(Constant)]
    return "\n".join(lines) + "\n"


def _text(item: float | str) -> str:
    return quoted(item.replace("\n", " ")) if isinstance(item, str) else f"{float(item):.6g}"

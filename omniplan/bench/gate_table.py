"""Rows of ``data/gates.toml``, or of a gates file of one's own: the limits a benchmark is held against."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from omniplan.bench.gates import Gate, Metric
from omniplan.documents.document import from_text
from omniplan.documents.source import data_path, read_table
from omniplan.documents.text_file import read_utf8
from omniplan.errors import InputError

_FILE: Final = "gates.toml"


def shipped_gates() -> tuple[Gate, ...]:
    """The shipped gates, in the table's order; raises TableError."""
    return _in_order(read_table(_FILE, dict[Metric, Gate]))


def shipped_text() -> str:
    """The shipped gates as they are written, to copy and change."""
    return data_path(_FILE).read_text(encoding="utf-8")


def load_gates(path: str | Path) -> tuple[Gate, ...]:
    """The gates in a file of the same form; raises InputError with the path inside the file."""
    example = f"the shipped {_FILE} is an example"
    try:
        found = from_text(dict[Metric, Gate], read_utf8(path), where=str(path), what="file of gates")
    except InputError as error:
        raise InputError(f"{error}; {example}") from error
    if not found:
        raise InputError(f"{path}: holds no gates; {example}")
    return _in_order(found)


def _in_order(gates: dict[Metric, Gate]) -> tuple[Gate, ...]:
    return tuple(gates[metric] for metric in Metric if metric in gates)

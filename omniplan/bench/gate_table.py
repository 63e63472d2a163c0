"""Rows of ``data/gates.toml``, or of a gates file of one's own: the limits a benchmark is held against."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from omniplan.bench.gates import Gate, Metric, Prompts
from omniplan.documents.fields import Fields
from omniplan.documents.source import data_path, read_table, wrong_rows
from omniplan.errors import InputError

_FILE: Final = "gates.toml"


def shipped_gates() -> tuple[Gate, ...]:
    """The shipped gates, in the table's order; raises TableError."""
    with wrong_rows(_FILE):
        return _gates(read_table(_FILE))


def shipped_text() -> str:
    """The shipped gates as they are written, to copy and change."""
    return data_path(_FILE).read_text(encoding="utf-8")


def load_gates(path: str | Path) -> tuple[Gate, ...]:
    """The gates in a file of the same form; raises InputError with the path inside the file."""
    try:
        raw = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        return _gates(raw)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, InputError) as error:
        raise InputError(f"{path}: {error}; `omniplan bench --show-gates` prints an example") from error


def _gates(raw: Mapping[str, Any]) -> tuple[Gate, ...]:
    if not raw:
        raise InputError("holds no gates")
    rows = Fields.of(raw, "")
    found = tuple(_gate(metric, row) for metric in Metric if (row := rows.table(metric)) is not None)
    rows.done()
    return found


def _gate(metric: Metric, row: Fields) -> Gate:
    gate = Gate(
        metric=metric,
        go=row.number("go"),
        no_go=row.number("no_go"),
        prompts=Prompts(row.choice("prompts", tuple(Prompts), Prompts.ALL)),
        source=row.text("source"),
    )
    row.done()
    return gate

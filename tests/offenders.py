"""One test per property of a table: what a row must be, by name, and the rows that are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

Row = TypeVar("Row")


def offenders(rows: Mapping[str, Row], facts: Mapping[str, Callable[[Row], bool]]) -> list[str]:
    """``"RTX 4090: has a source"`` for every row and every fact that does not hold of it."""
    return [f"{name}: {fact}" for name, row in rows.items() for fact, holds in facts.items() if not holds(row)]

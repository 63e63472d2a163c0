"""Command lines side by side as a table."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from omniplan.planning.comparison import Compared, Comparison
from omniplan.text.speed import SPEEDS, speeds
from omniplan.text.table import table
from omniplan.units import mib


def comparison_text(found: Comparison) -> str:
    """One row a command line: bytes by pool, whether it fits, splits per token, speed; then the lines themselves."""
    pools = list(dict.fromkeys(name for row in found.rows for name in row.used))
    rows = [_row(number, row, pools) for number, row in enumerate(found.rows, 1)]
    lines = [f"{number}: {shlex.join(row.args) or '(no arguments)'}" for number, row in enumerate(found.rows, 1)]
    return "\n".join([*lines, "", table(("", *pools, "fits", "splits", *SPEEDS), rows), *_short(found)])


def _row(number: int, row: Compared, pools: list[str]) -> list[str]:
    used = [mib(row.used[name]) for name in pools]
    splits = "-" if row.graph_splits is None else str(row.graph_splits.decode)
    return [str(number), *used, "yes" if row.fits else "no", splits, *speeds(row.prediction)]


def _short(found: Comparison) -> Iterator[str]:
    """What is missing where something does not fit, after an empty line."""
    short = [(number, row) for number, row in enumerate(found.rows, 1) if not row.fits]
    for index, (number, row) in enumerate(short):
        where = ", ".join(f"{mib(size)} on {name}" for name, size in row.shortfall.items())
        yield f"{'' if index else chr(10)}{number} is short by {where}; its speed takes for granted that it runs"

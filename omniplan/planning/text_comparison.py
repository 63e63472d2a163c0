"""Command lines side by side as a table."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from omniplan.domain.build import build_lines
from omniplan.planning.comparison import Compared, Comparison
from omniplan.text.speed import NEVER, SPEEDS, speeds
from omniplan.text.table import table
from omniplan.text.verdict import FITS, UNKNOWN, verdict_line
from omniplan.units import mib


def comparison_text(found: Comparison) -> str:
    """One row a command line: bytes by pool, whether it fits, splits per token, speed; then the lines themselves."""
    pools = list(dict.fromkeys(name for row in found.rows for name in row.used))
    rows = [_row(number, row, pools) for number, row in enumerate(found.rows, 1)]
    lines = [f"{number}: {shlex.join(row.args) or '(no arguments)'}" for number, row in enumerate(found.rows, 1)]
    body = [*lines, "", table(("", *pools, "fits", "splits", *SPEEDS), rows), *_short(found), ""]
    body += build_lines(row.build for row in found.rows)
    return "\n".join([*_unknown(found), *body])


def _unknown(found: Comparison) -> list[str]:
    """What is not priced, one line a command line, before an empty one."""
    rows = [(number, row) for number, row in enumerate(found.rows, 1) if row.unpriced]
    return [*(f"{number}: {verdict_line(row.unpriced, fits=row.fits)}" for number, row in rows), *[""][: len(rows)]]


def _row(number: int, row: Compared, pools: list[str]) -> list[str]:
    splits = "-" if row.graph_splits is None else str(row.graph_splits.decode)
    known = [UNKNOWN] * len(SPEEDS) if row.prediction is None else speeds(row.prediction)
    speed = NEVER if row.fits is False else known
    return [str(number), *(_used(row, name) for name in pools), FITS[row.fits], splits, *speed]


def _used(row: Compared, pool: str) -> str:
    """Bytes of a pool: at least these where more comes on top, not known where they lie elsewhere."""
    if not all(item.only_adds for item in row.unpriced):
        return UNKNOWN
    return f"{'> ' if row.unpriced else ''}{mib(row.used.get(pool, 0))}"


def _short(found: Comparison) -> Iterator[str]:
    """What is missing where something does not fit, after an empty line."""
    short = [(number, row) for number, row in enumerate(found.rows, 1) if row.fits is False]
    for index, (number, row) in enumerate(short):
        where = ", ".join(f"{mib(size)} on {name}" for name, size in row.shortfall.items())
        yield f"{'' if index else chr(10)}{number} is short by {where}, and has no speed"

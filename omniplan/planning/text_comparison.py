"""Commands side by side as a screen."""

from __future__ import annotations

from collections.abc import Iterator

from omniplan.domain.build import build_lines
from omniplan.planning.comparison import Compared, Comparison
from omniplan.text.argv import words_line
from omniplan.text.palette import Hue
from omniplan.text.screen import Cell, Heading, Passage, Prose, Screen, Tabular, Toned
from omniplan.text.speed import NEVER, SPEEDS, speed_columns, speeds
from omniplan.text.verdict import UNKNOWN, fits_cell, verdict_line
from omniplan.units import mib


def comparison_screen(found: Comparison) -> Screen:
    """The lines, then a row for each: whether it fits, speed, bytes by pool and splits; then what is missing."""
    pools = list(dict.fromkeys(name for row in found.rows for name in row.used))
    columns = [Heading("", is_left=True), Heading("fits"), *speed_columns(), *(Heading(name, rank=1) for name in pools)]
    rows = [_row(number, row, pools) for number, row in enumerate(found.rows, 1)]
    given = [Prose(f"{n}: {words_line(row.args) or '(no arguments)'}", hang=3) for n, row in enumerate(found.rows, 1)]
    return Screen(
        (
            Passage([*_unknown(found)]),
            Passage([*given]),
            Passage([Tabular([*columns, Heading("splits", rank=2)], rows)]),
            Passage([*_missing(found)]),
            Passage([Prose(line) for line in build_lines(row.build for row in found.rows)]),
        )
    )


def _unknown(found: Comparison) -> Iterator[Prose]:
    """What is not priced, one line a command line."""
    for number, row in enumerate(found.rows, 1):
        if row.unpriced:
            line = f"{number}: {verdict_line(row.unpriced, fits=row.fits)}"
            yield Prose(Toned(line, Hue.WARNING), hang=3)


def _row(number: int, row: Compared, pools: list[str]) -> list[Cell]:
    splits = "-" if row.graph_splits is None else str(row.graph_splits.decode)
    known = [UNKNOWN] * len(SPEEDS) if row.prediction is None else speeds(row.prediction)
    speed = NEVER if row.fits is False else known
    return [str(number), fits_cell(row.fits), *speed, *(_used(row, name) for name in pools), splits]


def _used(row: Compared, pool: str) -> str:
    """Bytes of a pool: at least these where more comes on top, not known where they lie elsewhere."""
    if not all(item.only_adds for item in row.unpriced):
        return UNKNOWN
    return f"{'> ' if row.unpriced else ''}{mib(row.used.get(pool, 0))}"


def _missing(found: Comparison) -> Iterator[Prose]:
    """What is short where something does not fit."""
    for number, row in enumerate(found.rows, 1):
        if row.fits is False:
            where = ", ".join(f"{mib(size)} on {name}" for name, size in row.shortfall.items())
            yield Prose(Toned(f"{number}: short by {where}, and has no speed", Hue.BAD), hang=3)

"""The sheets of a comparison: all command lines in one table, then each with its memory and its time."""

from __future__ import annotations

from collections.abc import Iterator

from omniplan.domain.machine import Machine
from omniplan.planning.comparison import Compared, Comparison
from omniplan.report.memory import before, of_pool, pools_of, scaled
from omniplan.report.plan import HEADS, rival_table
from omniplan.report.speed import times
from omniplan.report.values import Bar, BarGroup, CommandText, Notice, RivalRow, Segment, Sheet, Standing, Verdict
from omniplan.report.words import FITTING, STANDINGS, size, speeds
from omniplan.text.argv import shell_line
from omniplan.text.palette import Hue
from omniplan.text.verdict import FITS


def comparison_sheets(found: Comparison, machine: Machine) -> Iterator[Sheet]:
    """The table, and a sheet a command line, on ``machine``, which they were compared for."""
    fitting = sum(row.fits is True for row in found.rows)
    rows = tuple(_row(number, row, found) for number, row in enumerate(found.rows, 1))
    yield Sheet(
        name="all",
        title=f"{len(rows)} ways to run {found.model.rsplit('/', 1)[-1]}",
        verdict=Verdict(state=STANDINGS[found.fits], text=f"{fitting} of {len(rows)} fit on {found.machine}."),
        rivals=rival_table("Side by side", rows),
        facts=(("Model", found.model), ("Machine", machine.description or found.machine)),
    )
    for number, row in enumerate(found.rows, 1):
        yield _sheet(number, row, found, machine)


def _command(number: int, row: Compared, found: Comparison) -> CommandText:
    return CommandText(label=f"Command {number}", line=shell_line(found.model, row.args, {}, row.build.asked))


def _row(number: int, row: Compared, found: Comparison) -> RivalRow:
    short = ", ".join(f"short by {size(nbytes)} on {pool}" for pool, nbytes in row.shortfall.items())
    is_shown = row.prediction is not None and row.fits is not False
    return RivalRow(
        name=f"Command {number}",
        state=STANDINGS[row.fits],
        standing={"yes": "fits", "no": short or "does not fit"}.get(FITS[row.fits], FITS[row.fits]),
        figures=speeds(row.prediction) if row.prediction and is_shown else (None,) * len(HEADS),
        command=_command(number, row, found),
        memory=", ".join(f"{pool} {size(nbytes)}" for pool, nbytes in row.used.items() if nbytes),
    )


def _sheet(number: int, row: Compared, found: Comparison, machine: Machine) -> Sheet:
    standing = STANDINGS[row.fits]
    bars = tuple(_bar(pool, nbytes, machine) for pool, nbytes in row.used.items())
    is_timed = row.prediction is not None and row.fits is not False
    return Sheet(
        name=str(number),
        title=f"Command {number}",
        verdict=Verdict(state=standing, text=f"{FITTING[standing]}."),
        figures=speeds(row.prediction) if row.prediction and is_timed else (),
        commands=(_command(number, row, found),),
        memory=tuple(BarGroup(title="", bars=group) for group in scaled(bars)),
        times=times(row.prediction) if row.prediction and is_timed else (),
        notices=tuple(
            Notice(
                state=Standing.UNKNOWN, subject=item.subject, statement=f"not counted: {item.what}", source=item.source
            )
            for item in row.unpriced
        ),
    )


def _bar(name: str, used: int, machine: Machine) -> Bar:
    """A pool by what is taken of it, whatever for."""
    pool = of_pool(name, used, pools_of(machine))
    total, segments = before(machine, pool)
    taken = Segment(hue=Hue.TAKEN, label="taken", value=used, text=size(used))
    length = sum(segment.value for segment in segments) + used
    free = Segment(hue=Hue.FREE, label="left", value=total - length, text=size(total - length))
    is_short = pool.left is not None and pool.left < 0
    return Bar(
        name=name,
        label="",
        text=f"{size(used)} of {size(total)}" if total else size(used),
        segments=(*segments, taken, *((free,) if length < total else ())),
        scale=max(total, length),
        limit=total or None,
        state=Standing.BAD if is_short else Standing.GOOD,
        remark=f"short by {size(-pool.left)}" if pool.left is not None and is_short else "",
    )

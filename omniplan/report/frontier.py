"""The sheet of a frontier: its grid to move over, and the rows that no other beats."""

from __future__ import annotations

from omniplan.planning.frontier_values import Outcome, Point
from omniplan.report.plan import rival_table
from omniplan.report.tradeoffs import Grid, outcome_speeds, tradeoffs
from omniplan.report.values import CommandText, RivalRow, Sheet, Standing, Verdict
from omniplan.report.words import STANDINGS, context, size
from omniplan.text.argv import shell_line


def frontier_sheet(grid: Grid) -> Sheet:
    """Everything that was asked for."""
    found = grid.frontier
    fitting = [point for point in found.points if point.outcome is not None]
    front = tuple(_row(point, point.outcome, grid) for point in found.front if point.outcome is not None)
    return Sheet(
        name=found.model,
        title=f"{found.model} on {found.machine}",
        verdict=Verdict(
            state=STANDINGS[found.fits] if fitting else Standing.BAD,
            text=f"{len(fitting)} of {len(found.points)} combinations fit, {len(front)} of them no other beats.",
        ),
        tradeoffs=tradeoffs(grid),
        rivals=rival_table("What no other beats", front) if front else None,
        facts=(("Model", grid.model_path), ("Machine", found.machine), ("llama.cpp", grid.llama_cpp)),
    )


def _row(point: Point, outcome: Outcome, grid: Grid) -> RivalRow:
    line = shell_line(grid.model_path, outcome.server_args, outcome.environment, grid.llama_cpp)
    slots = f", {point.n_parallel} slots" if point.n_parallel > 1 else ""
    return RivalRow(
        name=f"{context(point.n_ctx)}, {point.cache_type}, -ub {point.n_ubatch}{slots}",
        state=Standing.GOOD,
        standing=outcome.strategy,
        figures=outcome_speeds(outcome),
        command=CommandText(label="Command", line=line),
        memory=", ".join(f"{pool} {size(nbytes)}" for pool, nbytes in outcome.used.items()),
    )

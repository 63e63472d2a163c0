"""The sheet of a verification: every figure of a run beside its prediction, and what was found."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Final

from omniplan.report.values import CheckedRow, CheckedTable, Figure, Notice, Sheet, Standing, Verdict
from omniplan.report.words import RATE, STANDINGS, sentence, size
from omniplan.text.speed import digits
from omniplan.verify.values import ComparedColumn, ComparedSpeed, RunFinding, RunSeverity, RunVerdict, Verification

_VERDICTS: Final = {RunVerdict.WITHIN: Standing.GOOD, RunVerdict.UNKNOWN: Standing.UNKNOWN}
_SEVERITIES: Final = {RunSeverity.FAULT: Standing.BAD, RunSeverity.WARNING: Standing.BAD}


def verification_sheet(found: Verification) -> Sheet:
    """A run and its prediction side by side."""
    judged = [row for row in found.rows if row.is_within is not None]
    within = sum(row.is_within is True for row in judged)
    counts = f" {within} of {len(judged)} figures are within." if judged else ""
    return Sheet(
        name="run",
        title=f"The run in {found.report.source.rsplit('/', 1)[-1]}",
        verdict=Verdict(state=_VERDICTS.get(found.verdict, Standing.BAD), text=sentence(found.verdict.value) + counts),
        figures=tuple(_speed(speed) for speed in found.speeds),
        checked=tuple(_tables(found)),
        notices=tuple(_notice(item) for item in found.findings),
        assumptions=found.assumptions,
        facts=tuple(_facts(found)),
    )


def _speed(speed: ComparedSpeed) -> Figure:
    is_known = speed.predicted_low is not None and speed.predicted_high is not None
    predicted = f"predicted {digits(speed.predicted_low or 0)} to {digits(speed.predicted_high or 0)}"
    return Figure(
        name=speed.phase.value,
        label=f"{speed.phase.value}, measured",
        value=speed.median,
        text=digits(speed.median),
        unit=RATE,
        low=speed.low,
        high=speed.high,
        span=predicted if is_known else "",
    )


def _tables(found: Verification) -> Iterator[CheckedTable]:
    if found.rows:
        sizes = [nbytes for row in found.rows for nbytes in (row.predicted, row.actual) if nbytes is not None]
        rows = tuple(_row(row) for row in found.rows)
        yield CheckedTable(title="Memory, predicted and actual", rows=rows, scale=max(sizes, default=1) or 1)


def _row(row: ComparedColumn) -> CheckedRow:
    return CheckedRow(
        place=row.pool if row.is_of_model else f"{row.part.value}, {row.pool}",
        column=row.column.value,
        predicted=row.predicted,
        actual=row.actual,
        predicted_text="" if row.predicted is None else size(row.predicted),
        actual_text="" if row.actual is None else size(row.actual),
        difference="" if row.difference is None else _signed(row.difference),
        state=STANDINGS[row.is_within],
        remark=row.remark,
    )


def _signed(nbytes: int) -> str:
    """A difference; 0 where no digit of it would be shown."""
    shown = size(abs(nbytes))
    return "0" if shown == size(0) else f"{'+' if nbytes > 0 else '-'}{shown}"


def _notice(item: RunFinding) -> Notice:
    return Notice(
        state=_SEVERITIES.get(item.severity, Standing.UNKNOWN),
        subject=item.severity.value,
        statement=sentence(item.statement),
        advice=sentence(item.advice) if item.advice else "",
        source=item.source,
    )


def _facts(found: Verification) -> Iterator[tuple[str, str]]:
    report = found.report
    yield "Log", f"{report.source}: {report.n_lines:,} lines, {report.n_recognised:,} of them read"
    if report.build and report.build.number:
        yield "llama.cpp", f"b{report.build.number} ({report.build.commit})"
    for device in report.devices:
        yield device.name, device.description
    if found.basis:
        yield "Predicted from", f"{found.basis}: {shlex.join(found.args)}"
    for usage in found.usage:
        total = f" of {size(usage.total)}" if usage.total is not None else ""
        yield f"nvidia-smi, {usage.device}", f"{size(usage.used)}{total} in use"

"""A verification as a screen: the verdict, findings and speeds, then the run and its figures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from omniplan.text.argv import words_line
from omniplan.text.palette import Hue
from omniplan.text.screen import Cell, Heading, Level, Passage, Prose, Screen, Tabular, Toned
from omniplan.units import MIB, mib
from omniplan.verify.logs.report import BufferKind, Load, LoadReport
from omniplan.verify.values import ComparedColumn, RunFinding, Verification

_SHOWN: Final = 4
_HUES: Final = {"error": Hue.BAD, "warning": Hue.WARNING, "info": Hue.QUIET}


def verification_screen(found: Verification) -> Screen:
    """The verdict first, then what a reader should know of the run; the devices and what was assumed a level below."""
    load = found.report.load
    figures = [_table(found.rows)] if found.rows else [_buffers(load)] if load is not None and load.has_buffers else []
    first, *devices = map(_hung, _run_lines(found.report))
    basis = [Prose(f"Predicted from {found.basis}: {words_line(found.args)}", hang=2)] if found.basis else []
    return Screen(
        (
            Passage([_verdict(found), first]),
            Passage(list(map(_finding, found.findings)), title="Findings"),
            Passage(figures),
            Passage([*map(_hung, _speed_lines(found)), *map(_hung, _usage_lines(found))]),
            Passage([*devices, *basis], level=Level.TABLES),
            Passage([_hung(f"- {item.subject}: {item.statement}") for item in found.assumptions], title="Assumed"),
        )
    )


def _hung(text: str) -> Prose:
    return Prose(text, hang=2)


def _run_lines(report: LoadReport) -> Iterator[str]:
    build = report.build
    name = f"b{build.number} ({build.commit})" if build and build.number else "a build without a number"
    yield f"{report.source}: {report.n_lines:,} lines, {report.n_recognised:,} of them read; llama.cpp {name}"
    load = report.load
    if load is not None:
        yield _model_line(load)
    for device in report.devices:
        free = f", {mib(device.free)} free before the load" if device.free is not None else ""
        total = f", {mib(device.total)}" if device.total is not None else ""
        vmm = "" if device.has_vmm is None else f", VMM {'yes' if device.has_vmm else 'no'}"
        yield f"{device.name}: {device.description}{total}{free}{vmm}"
    yield from (f"note: {note}" for note in report.notes)


def _model_line(load: Load) -> str:
    model = load.model
    parts = [model.name or model.path or "a model without a name"]
    if model.architecture:
        parts.append(model.architecture)
    if model.file_size:
        parts.append(model.file_size.strip())
    if load.offloaded is not None:
        parts.append(f"{load.offloaded} of {load.offloadable} layers on GPUs")
    context = load.contexts[0] if load.contexts else None
    if context is not None and "n_ctx" in context.settings:
        parts.append(f"context {context.settings['n_ctx']}")
    if context is not None and context.splits_decode is not None:
        parts.append(f"{context.splits_prefill} graph splits per prompt batch, {context.splits_decode} per token")
    return ", ".join(parts)


def _table(rows: tuple[ComparedColumn, ...]) -> Tabular:
    shown: list[tuple[Cell, ...]] = [
        (
            row.pool if row.is_of_model else f"{row.part.value}, {row.pool}",
            row.column,
            _mib(row.predicted),
            _mib(row.actual),
            _signed(row.difference),
            f"±{row.tolerance / MIB:,.1f}",
            row.remark or _within(row),
        )
        for row in rows
    ]
    columns = (
        Heading("device", is_left=True),
        Heading("bytes of", is_left=True),
        Heading("predicted MiB"),
        Heading("actual MiB"),
        Heading("difference"),
        Heading("tolerance", rank=1),
        Heading("within", is_prose=True),
    )
    return Tabular(columns, shown)


def _within(row: ComparedColumn) -> Toned:
    return Toned("yes", Hue.GOOD) if row.is_within else Toned("NO", Hue.BAD)


def _mib(size: int | None) -> str:
    return "" if size is None else f"{size / MIB:,.2f}"


def _signed(size: int | None) -> str:
    return "" if size is None else f"{size / MIB:+,.2f}"


def _buffers(load: Load) -> Tabular:
    devices = list(dict.fromkeys(buffer.device for buffer in load.all_buffers()))
    kinds = [kind for kind in BufferKind if load.sizes(kind)]
    rows = [(device, *(_mib(load.sizes(kind).get(device)) for kind in kinds)) for device in devices]
    return Tabular([Heading("buffer, MiB", is_left=True), *(Heading(kind.value) for kind in kinds)], rows)


def _speed_lines(found: Verification) -> Iterator[str]:
    for speed in found.speeds:
        spread = f" ({speed.low:.2f} to {speed.high:.2f} in {speed.n_runs} requests)" if speed.n_runs > 1 else ""
        predicted = ""
        if speed.predicted_low is not None and speed.predicted_high is not None:
            predicted = f", predicted {speed.predicted_low:.2f} to {speed.predicted_high:.2f}"
        yield f"{speed.phase}: {speed.median:.2f} tokens per second{spread}{predicted}"


def _usage_lines(found: Verification) -> Iterator[str]:
    for usage in found.usage:
        total = f" of {mib(usage.total)}" if usage.total is not None else ""
        yield f"nvidia-smi: {usage.device} {mib(usage.used)}{total} in use"


def _finding(item: RunFinding) -> Prose:
    numbers = ", ".join((*map(str, item.lines[:_SHOWN]), *(["..."] if len(item.lines) > _SHOWN else [])))
    lines = f" (line {numbers})" if numbers else ""
    advice = f"; {item.advice}" if item.advice else ""
    severity = Toned(item.severity.value, _HUES.get(item.severity.value, Hue.PLAIN))
    return Prose(("- ", severity, f": {item.statement}{lines}{advice}", Toned(f" [{item.source}]", Hue.QUIET)), hang=2)


def _verdict(found: Verification) -> Prose:
    judged = [row for row in found.rows if row.is_within is not None]
    within = sum(1 for row in judged if row.is_within)
    counts = f" ({within} of {len(judged)} figures are within)" if judged else ""
    verdict = Toned(found.verdict.value, Hue.GOOD if found.is_ok else Hue.BAD)
    return Prose(("Verdict: ", verdict, counts), hang=2)

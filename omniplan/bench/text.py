"""Benchmark reports as text for a terminal and as Markdown for a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from omniplan.bench.gates import LESS_IS_BETTER, Gate, GateResult
from omniplan.bench.values import BenchReport, BenchRow, DeviceMemory, SmokeReport, Summary
from omniplan.text.speed import digits, span
from omniplan.text.table import table
from omniplan.units import mib

Table = tuple[Sequence[str], Sequence[Sequence[str]]]
Shown = Callable[[Table], list[str]]

_ROWS: Final = ("prompt", "asked", "streamed", "failed", "tokens/s", "prompt tokens/s", "first token s")


def bench_text(report: BenchReport) -> str:
    """The report for a terminal."""
    return "\n".join(_bench(report, _plain, ""))


def bench_markdown(report: BenchReport) -> str:
    """The report as a Markdown document."""
    return "\n".join(("# Benchmark", "", *_bench(report, _markdown, "## "), ""))


def smoke_text(report: SmokeReport) -> str:
    """The update check for a terminal."""
    return "\n".join(_smoke(report, _plain, ""))


def smoke_markdown(report: SmokeReport) -> str:
    """The update check as a Markdown document."""
    return "\n".join(("# Update check", "", *_smoke(report, _markdown, "## "), ""))


def _bench(report: BenchReport, shown: Shown, mark: str) -> Iterator[str]:
    yield f"{mark}Verdict: {report.verdict}{' (stopped early: ' + report.stopped + ')' if report.stopped else ''}"
    yield ""
    yield f"{report.model or 'a model'} at {_where(report)}"
    yield f"Answers of {report.n_gen:,} tokens; mean and standard deviation of warm requests, one at a time."
    yield ""
    yield from shown((_ROWS, [_row(row) for row in report.rows]))
    yield from _facts(report)
    yield ""
    yield from shown((("gate", "GO", "NO-GO", "measured", "verdict"), [_gate(result) for result in report.gates]))
    if report.differences:
        yield from ("", f"{mark}Against the plan for {report.plan}", "")
        yield from shown((("figure", "predicted", "measured", "off by", "within"), list(_against(report))))
    if failures := _failures(report):
        yield from ("", f"{mark}Failed attempts", "", *failures)
    if notes := (*(f"less certain: {line}" for line in report.disturbances), *report.notes):
        yield from ("", f"{mark}Notes", "", *(f"- {note}" for note in notes))


def _where(report: BenchReport | SmokeReport) -> str:
    return f"{report.url or 'no server'}, {report.server or 'build unknown'}, {report.date}"


def _row(row: BenchRow) -> list[str]:
    return [
        f"{row.n_prompt:,}" if row.n_prompt is not None else f"about {row.n_wanted:,}",
        str(row.attempts),
        "yes" if row.streaming else "no",
        str(row.errors),
        *(_spread(s) for s in (row.decode_tokens_per_second, row.prompt_tokens_per_second, row.first_token_seconds)),
    ]


def _spread(figure: Summary | None) -> str:
    return "-" if figure is None else f"{digits(figure.mean)} ± {digits(figure.deviation)}"


def _facts(report: BenchReport) -> Iterator[str]:
    """Single figures below the rows, each a line of its own."""
    yield ""
    if report.cold_tokens_per_second is not None:
        yield f"- Cold: {digits(report.cold_tokens_per_second)} tokens/s in the first request, which is not counted."
    if any(sample.by_clock for sample in report.samples):
        yield "- Rates are by our clock where the server sends no timings: the prompt's includes the first token."
    stability = "unknown" if report.stability is None else f"{report.stability:.1%}"
    yield f"- Stability: {stability} of {sum(sample.attempts for sample in report.samples)} attempts answered."
    yield from (f"- VRAM: {_device(device)}" for device in report.memory)
    if report.memory_unknown:
        yield f"- VRAM: unknown, {report.memory_unknown}."
    if report.log:
        yield f"- Server log: {report.log}"


def _device(device: DeviceMemory) -> str:
    budget = "no budget known" if device.budget is None else f"budget {mib(device.budget)}"
    return f"{mib(device.used)} of {mib(device.total)} used on {device.name}, {budget}."


def _gate(result: GateResult) -> list[str]:
    gate = result.gate
    measured = "unknown" if result.measured is None else digits(result.measured)
    name = gate.metric.replace("_", " ") + ("" if gate.prompts == "all" else f", {gate.prompts} prompt")
    return [name, *_limits(gate), measured, result.verdict]


def _limits(gate: Gate) -> tuple[str, str]:
    better, worse = ("below", "above") if gate.metric in LESS_IS_BETTER else ("above", "below")
    go = "otherwise" if gate.go is None else f"{better} {gate.go:g}"
    return go, "otherwise" if gate.no_go is None else f"{worse} {gate.no_go:g}"


def _against(report: BenchReport) -> Iterator[list[str]]:
    for row in report.differences:
        name = row.figure.replace("_", " ")
        if row.measured is None or row.difference is None:
            yield [name, span(row.predicted), "unknown", "-", "-"]
        else:
            within = "yes" if row.is_within else "no"
            yield [name, span(row.predicted), digits(row.measured), f"{row.difference:+.0%}", within]


def _failures(report: BenchReport) -> list[str]:
    """Every reason once, with how often it was given."""
    reasons = [error for sample in report.samples for error in sample.errors]
    return [f"- {reasons.count(reason)} x {reason}" for reason in dict.fromkeys(reasons)]


def _smoke(report: SmokeReport, shown: Shown, mark: str) -> Iterator[str]:
    verdict = "passed" if report.passed else f"failed{': ' + report.stopped if report.stopped else ''}"
    yield f"{mark}Update check {verdict}"
    yield ""
    yield _where(report)
    yield ""
    rows = [
        [
            check.model or "(the only model)",
            check.prompt,
            "-" if check.n_prompt is None else str(check.n_prompt),
            "-" if check.n_gen is None else str(check.n_gen),
            "passed" if check.passed else "failed",
        ]
        for check in report.checks
    ]
    yield from shown((("model", "prompt", "tokens", "answered", ""), rows))
    if problems := [f"- {c.model or 'the model'}, {c.prompt}: {c.problem}" for c in report.checks if c.problem]:
        yield from ("", *problems)
    if report.log:
        yield from ("", f"- Server log: {report.log}")


def _plain(found: Table) -> list[str]:
    header, rows = found
    return table(header, rows).splitlines() if rows else ["Nothing was measured."]


def _markdown(found: Table) -> list[str]:
    header, rows = found
    if not rows:
        return ["Nothing was measured."]
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines]

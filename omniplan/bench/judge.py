"""A report's figures held against gates and against the plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from omniplan.bench.gates import LESS_IS_BETTER, Gate, GateResult, Metric, Prompts, overall
from omniplan.bench.statistics import summary
from omniplan.bench.values import BenchReport, BenchRow, PlanDifference, Sample, Summary
from omniplan.domain.plan import Plan
from omniplan.domain.prediction import Estimate


def judged(report: BenchReport, gates: Sequence[Gate]) -> BenchReport:
    """The report with every gate's verdict and the overall one."""
    results = tuple(_held(report, gate) for gate in gates)
    return replace(report, gates=results, verdict=overall(results, is_complete=not report.stopped))


def _held(report: BenchReport, gate: Gate) -> GateResult:
    measured = figure(report, gate.metric, gate.prompts)
    return GateResult(gate=gate, measured=measured, verdict=gate.judge(measured))


def figure(report: BenchReport, metric: Metric, prompts: Prompts = Prompts.ALL) -> float | None:
    """What a report says of a metric; over several rows the worst of their means. None: it was not measured."""
    if metric is Metric.STABILITY:
        return report.stability
    if metric is Metric.VRAM:
        shares = [device.share for device in report.memory]
        # One device without a budget is enough not to know.
        return max((share for share in shares if share is not None), default=None) if None not in shares else None
    if metric is Metric.OF_PLAN:
        found = next((d for d in report.differences if d.figure == Metric.DECODE), None)
        return None if found is None or found.difference is None else 1 + found.difference
    means = [found.mean for row in _chosen(report.rows, prompts) if (found := getattr(row, metric)) is not None]
    worst = max if metric in LESS_IS_BETTER else min
    return worst(means, default=None)


def _chosen(rows: Sequence[BenchRow], prompts: Prompts) -> list[BenchRow]:
    if prompts is Prompts.ALL or not rows:
        return list(rows)
    pick = min if prompts is Prompts.SHORTEST else max
    wanted = pick(row.n_wanted for row in rows)
    return [row for row in rows if row.n_wanted == wanted]


def differences(plan: Plan, rows: Sequence[BenchRow], samples: Sequence[Sample]) -> tuple[PlanDifference, ...]:
    """The plan's rates and request time beside those of the prompts nearest to the plan's own in length."""
    prediction = plan.prediction
    measured = [row for row in rows if row.attempts > row.errors]
    if not measured:
        return ()
    nearest = min(measured, key=lambda row: abs((row.n_prompt or row.n_wanted) - prediction.n_prompt)).length
    warm = [s for s in samples if s.length == nearest and not s.is_cold and s.is_answered]
    pairs = [
        (Metric.DECODE, prediction.decode_tokens_per_second, summary(s.decode_tokens_per_second for s in warm)),
        ("request_seconds", prediction.request_seconds, summary(s.seconds for s in warm)),
    ]
    if prediction.n_prompt:
        found = summary(s.prompt_tokens_per_second for s in warm)
        pairs.insert(1, (Metric.PROMPT, prediction.prompt_tokens_per_second, found))
    return tuple(_difference(name, predicted, found) for name, predicted, found in pairs)


def _difference(name: str, predicted: Estimate, found: Summary | None) -> PlanDifference:
    if found is None:
        return PlanDifference(figure=name, predicted=predicted, measured=None, difference=None, is_within=None)
    return PlanDifference(
        figure=name,
        predicted=predicted,
        measured=found.mean,
        difference=found.mean / predicted.value - 1,
        is_within=predicted.low <= found.mean <= predicted.high,
    )


def workload_notes(plan: Plan, samples: Iterable[Sample]) -> list[str]:
    """Where what was asked differs from what the plan was made for."""
    warm = [s for s in samples if not s.is_cold and s.n_prompt is not None and s.n_gen is not None]
    if not warm:
        return []
    nearest = min(warm, key=lambda s: abs((s.n_prompt or 0) - plan.prediction.n_prompt))
    asked, planned = (nearest.n_prompt, nearest.n_gen), (plan.prediction.n_prompt, plan.prediction.n_gen)
    if all(abs((a or 0) - p) <= 0.1 * max(p, 1) for a, p in zip(asked, planned, strict=True)):
        return []
    return [f"compared at {asked[0]:,} + {asked[1]:,} tokens with a plan for {planned[0]:,} + {planned[1]:,}"]

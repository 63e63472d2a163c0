"""One run: start the plan's llama-server, ask it the request, and stop it again."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean

from omniplan.bench import session
from omniplan.bench.protocol import BenchProtocol, ServerStart
from omniplan.bench.values import BenchReport, BenchRow, Summary
from omniplan.domain.plan import Plan
from omniplan.domain.progress import Progress
from omniplan.tune.choice import TunedRun
from omniplan.version import __version__


def run(start: ServerStart, progress: Progress) -> TunedRun:
    """Start a server, measure its plan's request twice after a warm-up, and stop it.

    Raises KeyboardInterrupt when told to.
    """
    request = start.plan.request
    protocol = BenchProtocol(lengths=(max(1, request.n_prompt),), n_gen=max(1, request.n_gen), runs=1, retries=0)
    report = session.bench(start, protocol, (), version=__version__, progress=progress, say=lambda _: None)
    if report.stopped == "interrupted":
        raise KeyboardInterrupt
    return _measured(start.plan, report)


def _measured(plan: Plan, report: BenchReport) -> TunedRun:
    prompt = _rates(report, lambda row: row.prompt_tokens_per_second)
    decode = _rates(report, lambda row: row.decode_tokens_per_second)
    if not prompt or not decode:
        failures = (error for sample in report.samples for error in sample.errors)
        failure = report.stopped or next(failures, "no request was answered")
        return TunedRun(args=plan.server_args, failure=failure)
    return TunedRun(
        args=plan.server_args,
        prompt_seconds=plan.request.n_prompt / fmean(prompt),
        token_seconds=1 / fmean(decode),
        scatter=max((max(rates) - min(rates)) / fmean(rates) / 2 for rates in (prompt, decode)),
        disturbances=report.disturbances,
        server=report.server,
        n_runs=len(decode),
        date=report.date[:10],
    )


def _rates(report: BenchReport, figure: Callable[[BenchRow], Summary | None]) -> list[float]:
    """Tokens per second of the request asked in one piece, and streamed."""
    return [summary.mean for row in report.rows if (summary := figure(row))]

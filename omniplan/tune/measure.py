"""One run: start the plan's llama-server, ask it the request, and stop it again; and whether the host is quiet."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from statistics import fmean

from omniplan.bench import session
from omniplan.bench.memory import GpusUnseen, gpus_now
from omniplan.bench.protocol import BenchProtocol, ServerStart
from omniplan.bench.values import BenchReport, BenchRow, Summary
from omniplan.bench.watch import BUSY
from omniplan.domain.machine import ReservationKind
from omniplan.domain.plan import Plan
from omniplan.domain.progress import Progress
from omniplan.errors import InputError
from omniplan.machines.probe.gpu_state import states
from omniplan.machines.probe.nvml import NvmlMissing, opened
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


def disturbances() -> Iterator[str]:
    """What else works on this host now; raises InputError where another process has memory of a GPU."""
    try:
        for gpu in gpus_now():
            others = [item.reason for item in gpu.reserved if item.kind is ReservationKind.PROCESS]
            if others:
                raise InputError(f"{gpu.name}: in use by {', '.join(others)}; stop that first")
    except GpusUnseen:
        pass
    load, cores = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0, os.cpu_count() or 1
    if load > BUSY * cores:
        yield f"load average {load:.1f} on {cores} threads: other work takes time from the runs"
    yield from _busy_gpus()


def _busy_gpus() -> Iterator[str]:
    """GPUs that compute or are held down before anything is started."""
    try:
        with opened() as devices:
            for state in states(devices):
                if state.busy is not None and state.busy > BUSY:
                    yield f"{state.name} is {state.busy:.0%} busy before the first run"
                if state.slowed:
                    yield f"{state.name} is slowed {state.slowed} before the first run"
    except NvmlMissing:
        return

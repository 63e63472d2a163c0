"""One run: start the plan's llama-server, ask it the request, and stop it again; and whether the host is quiet."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from omniplan.bench import session
from omniplan.bench.memory import GpusUnseen, gpus_now
from omniplan.bench.protocol import BenchProtocol, ServerStart
from omniplan.bench.values import BenchReport, BenchRow, Summary
from omniplan.domain.machine import ReservationKind
from omniplan.domain.plan import Plan
from omniplan.errors import InputError
from omniplan.tune.choice import TunedRun
from omniplan.version import __version__

# Others' work on more cores than this share takes time from the server's threads.
_BUSY: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """How plans are started: a command in place of llama-server, the model's file, and seconds its loading may take."""

    command: str = "llama-server"
    gguf: str = ""
    wait: float = 1800.0


def run(plan: Plan, server: Server, progress: Callable[[int, int, str], None]) -> TunedRun:
    """Start ``plan``, measure its request twice after a warm-up, and stop it; raises KeyboardInterrupt when told to."""
    request = plan.request
    protocol = BenchProtocol(lengths=(max(1, request.n_prompt),), n_gen=max(1, request.n_gen), runs=1, retries=0)
    start = ServerStart(plan=plan, server=server.command, gguf=server.gguf, wait=server.wait)
    report = session.bench(start, protocol, (), version=__version__, progress=progress, say=lambda _: None)
    if report.stopped == "interrupted":
        raise KeyboardInterrupt
    return _measured(plan, report)


def _measured(plan: Plan, report: BenchReport) -> TunedRun:
    prompt = _mean(report, lambda row: row.prompt_tokens_per_second)
    decode = _mean(report, lambda row: row.decode_tokens_per_second)
    if not prompt or not decode:
        failures = (error for sample in report.samples for error in sample.errors)
        failure = report.stopped or next(failures, "no request was answered")
        return TunedRun(args=plan.server_args, failure=failure)
    return TunedRun(args=plan.server_args, prompt_seconds=plan.request.n_prompt / prompt, token_seconds=1 / decode)


def _mean(report: BenchReport, figure: Callable[[BenchRow], Summary | None]) -> float | None:
    found = [summary.mean for row in report.rows if (summary := figure(row))]
    return fmean(found) if found else None


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
    if load > _BUSY * cores:
        yield f"load average {load:.1f} on {cores} threads: other work takes time from the runs"

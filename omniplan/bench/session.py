"""One benchmark or update check from end to end: reach or start the server, ask, and put the report together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from omniplan.bench.client import Client, ServerFacts, is_loopback, server_url
from omniplan.bench.gates import Gate, GateVerdict
from omniplan.bench.interrupt import interruptible
from omniplan.bench.judge import differences, judged, workload_notes
from omniplan.bench.launch import StartFailed, launched, wait_ready, with_log
from omniplan.bench.memory import Budget, MemoryReader, fixed_budget, planned_budget
from omniplan.bench.protocol import BenchProtocol, ServerStart
from omniplan.bench.quiet import occupied, unrest
from omniplan.bench.run import Measured, run
from omniplan.bench.smoke import checks
from omniplan.bench.statistics import bench_row, stability
from omniplan.bench.values import BenchReport, Sample, SmokeCheck, SmokeReport
from omniplan.bench.watch import watched
from omniplan.domain.plan import Plan
from omniplan.domain.progress import Progress
from omniplan.errors import InputError

_START = "start"


@contextmanager
def reached(
    target: str | ServerStart,
    protocol: BenchProtocol,
    api_key: str,
    *,
    say: Callable[[str], None],
    stop_if_asked: Callable[[], None],
) -> Iterator[Client]:
    """A client of the server at ``target``, or of the one started for it, ready to answer.

    Raises InputError when nothing answers at a URL, StartFailed when a started server does not get ready.
    """
    if isinstance(target, str):
        with Client(target, timeout=protocol.timeout, retries=protocol.retries, api_key=api_key) as client:
            if (state := client.state()) != "ready":
                reason = "is still loading its model; try again later" if state == "loading" else state
                raise InputError(f"{client.url}: {reason}; is a server running there?")
            yield client
        return
    with launched(target) as started:
        say(f"starting the server at {started.url}, its output in {started.log}")
        with Client(started.url, timeout=protocol.timeout, retries=protocol.retries, api_key=api_key) as client:
            wait_ready(client, started, target.wait, stop_if_asked)
            yield client


def bench(
    target: str | ServerStart,
    protocol: BenchProtocol,
    gates: Sequence[Gate],
    *,
    version: str,
    plan: Plan | None = None,
    model: str = "",
    vram_budget: int | None = None,
    api_key: str = "",
    progress: Progress,
    say: Callable[[str], None],
) -> BenchReport:
    """Benchmark a server; see ``omniplan.bench``."""
    if isinstance(target, ServerStart):
        target, plan = with_log(target), target.plan
    protocol = protocol.planned(plan)
    measured, lengths, facts, url = Measured(log=_log(target)), dict[str, int](), None, _url(target)
    if isinstance(target, ServerStart):
        measured.notes.extend((*occupied(), *unrest()))
    try:
        with (
            interruptible() as stop,
            watched("" if isinstance(target, str) else target.server, measured.disturbances.append),
            reached(target, protocol, api_key, say=say, stop_if_asked=stop) as client,
        ):
            url, facts = client.url, client.facts()
            if model and not facts.serves(model):
                raise InputError(f"--model {model}: not what the server lists; name one of {', '.join(facts.models)}")
            model = model or next(iter(facts.models), "")
            memory = _memory(url, plan, vram_budget)
            lengths = run(
                client, facts, protocol, measured, model=model, memory=memory, progress=_checked(progress, stop)
            )
    except KeyboardInterrupt:
        measured.stopped = measured.stopped or "interrupted"
    except StartFailed as failed:
        measured.stopped = str(failed)
        measured.samples.append(Sample(length=_START, streaming=False, errors=(str(failed),)))
    report = _report(measured, lengths, facts, plan, version=version, url=url, model=model, n_gen=protocol.n_gen)
    return judged(report, gates)


def _url(target: str | ServerStart) -> str:
    return server_url(target) if isinstance(target, str) else ""


def _checked(progress: Progress, stop_if_asked: Callable[[], None]) -> Progress:
    """Progress that also looks for an interruption, before every request."""

    def step(done: int, total: int, label: str) -> None:
        stop_if_asked()
        progress(done, total, label)

    return step


def _log(target: str | ServerStart) -> str:
    return "" if isinstance(target, str) else target.log


def _memory(url: str, plan: Plan | None, vram_budget: int | None) -> MemoryReader:
    budget: Budget = planned_budget(plan) if plan and vram_budget is None else fixed_budget(vram_budget)
    return MemoryReader(budget, unknown="" if is_loopback(url) else "the server runs on another host")


def _report(
    measured: Measured,
    lengths: dict[str, int],
    facts: ServerFacts | None,
    plan: Plan | None,
    *,
    version: str,
    url: str,
    model: str,
    n_gen: int,
) -> BenchReport:
    samples = measured.samples
    rows = tuple(
        row
        for name, n_tokens in lengths.items()
        for streaming in (False, True)
        if (row := bench_row(name, n_tokens, streaming=streaming, samples=samples)).attempts
    )
    cold = next((sample for sample in samples if sample.is_cold), None)
    return BenchReport(
        version=version,
        date=_now(),
        url=url,
        model=model,
        server=(facts.build if facts else "") or measured.server,
        n_gen=n_gen,
        samples=tuple(samples),
        rows=rows,
        cold_tokens_per_second=cold.decode_tokens_per_second if cold else None,
        stability=stability(samples),
        memory=measured.memory,
        memory_unknown=measured.memory_unknown or ("" if measured.memory else "not read"),
        plan=f"{plan.model.name or plan.model.path} on {plan.machine.name}" if plan else "",
        differences=differences(plan, rows, samples) if plan else (),
        gates=(),
        verdict=GateVerdict.UNKNOWN,
        stopped=measured.stopped,
        log=measured.log,
        disturbances=tuple(measured.disturbances),
        notes=(*measured.notes, *(workload_notes(plan, samples) if plan else ())),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def smoke(
    target: str | ServerStart,
    protocol: BenchProtocol,
    *,
    version: str,
    models: Sequence[str] = (),
    api_key: str = "",
    progress: Progress,
    say: Callable[[str], None],
) -> SmokeReport:
    """Check that a server answers for every model; see ``omniplan.smoke``."""
    target = with_log(target) if isinstance(target, ServerStart) else target
    found: list[SmokeCheck] = []
    stopped, server, url = "", "", _url(target)
    try:
        with interruptible() as stop, reached(target, protocol, api_key, say=say, stop_if_asked=stop) as client:
            facts = client.facts()
            url, server = client.url, facts.build
            for check in checks(client, facts, models, _checked(progress, stop)):
                found.append(check)  # noqa: PERF402 - what was checked before an interruption is kept
    except KeyboardInterrupt:
        stopped = "interrupted"
    except StartFailed as failed:
        stopped = str(failed)
    return SmokeReport(
        version=version,
        date=_now(),
        url=url,
        server=server,
        checks=tuple(found),
        stopped=stopped,
        log=_log(target),
    )

"""A log, line by line, to a report: which process, which load, and what belongs to none."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from omniplan.domain.prediction import Phase
from omniplan.units import MIB
from omniplan.verify.logs import readers, readers_memory
from omniplan.verify.logs.building import LoadBuilder, Run
from omniplan.verify.logs.lines import plain, unwrapped
from omniplan.verify.logs.match import LineMatcher, Values
from omniplan.verify.logs.process import BEGINNINGS, Process
from omniplan.verify.logs.report import BufferKind, Load, LoadReport, LogBuild, LogDevice, Timing

LOAD_READERS: Final = {**readers.READERS, **readers_memory.READERS}
# More processes are taken for the first, timings in between are not kept.
_MOST_PROCESSES: Final = 32
_TIMINGS_KEPT: Final = 2000
_NAMED: Final = 256


class Collector:
    """Takes lines, gives a report."""

    def __init__(self) -> None:
        self._matcher = LineMatcher()
        self._processes: dict[str, Process] = {}
        self._devices: dict[str, LogDevice] = {}
        self._counts: Counter[str] = Counter()
        self._first: list[Timing] = []
        self._last: deque[Timing] = deque(maxlen=_TIMINGS_KEPT)
        self.n_lines = 0
        self.report = LoadReport(source="", n_lines=0, facts={})

    def take(self, lines: Iterable[tuple[int, str]]) -> None:
        """Read numbered lines to their end."""
        gate = self._matcher.gate
        for number, raw in lines:
            self.n_lines = number
            first = gate(raw)
            if first >= 0 or "\x1b" in raw:
                self._look(number, raw, first)

    def _look(self, number: int, raw: str, first: int) -> None:
        text = plain(raw)
        for piece in text.split("\r") if "\r" in text else (text,):
            for name, line in unwrapped(piece):
                stated = self._matcher.stated(line, first if line is raw else 0)
                if stated is not None:
                    self._counts[stated[0]] += 1
                    self._state(name, *stated, number)

    def _state(self, name: str, fact: str, values: Values, line: int) -> None:
        if fact in GLOBAL_READERS:
            GLOBAL_READERS[fact](self, values, line)
        process = self._process(name)
        if fact in BEGINNINGS:
            BEGINNINGS[fact](process, values, line)
        elif fact in LOAD_READERS:
            LOAD_READERS[fact](process.load(line), values, line)

    def _process(self, name: str) -> Process:
        known = self._processes.get(name)
        if known is None and len(self._processes) >= _MOST_PROCESSES:
            known = next(iter(self._processes.values()))
        if known is None:
            known = self._processes[name] = Process(name)
        return known

    def describe(self, name: str, line: int, **facts: object) -> None:
        """What is known of a device, first words first; facts that are None say nothing."""
        known = self._devices.get(name)
        if known is None:
            if len(self._devices) >= _NAMED:
                return
            known = LogDevice(name=name, line=line)
        new = {k: v for k, v in facts.items() if v not in {None, ""} and getattr(known, k) in {None, "", 0}}
        self._devices[name] = replace(known, **new)  # type: ignore[arg-type]

    def time(self, timing: Timing) -> None:
        """A measured speed."""
        if len(self._first) < _TIMINGS_KEPT:
            self._first.append(timing)
        else:
            self._last.append(timing)

    def finish(self, source: str) -> LoadReport:
        """Everything that was found."""
        loads = [load.build() for process in self._processes.values() for load in process.loads if _is_load(load)]
        return replace(
            self.report,
            source=source,
            n_lines=self.n_lines,
            facts=dict(self._counts),
            devices=tuple(self._devices.values()),
            loads=tuple(loads),
            main=_main(loads, self._runs()),
            timings=(*self._first, *self._last),
            notes=tuple(self._notes()),
        )

    def _runs(self) -> list[Run]:
        return [load.run for process in self._processes.values() for load in process.loads if _is_load(load)]

    def _notes(self) -> Iterator[str]:
        if forgotten := sum(process.n_forgotten for process in self._processes.values()):
            yield f"{forgotten} earlier loads are left out"
        n_timings = self._counts["timing"] + self._counts["bench"] + self._counts["bench_row"]
        if n_timings > 2 * _TIMINGS_KEPT:
            yield f"of {n_timings} timings the first and last {_TIMINGS_KEPT} are kept"


def _is_load(load: LoadBuilder) -> bool:
    shared = load.run
    known = (load.path, load.slots, load.failure, load.refused, load.offloaded, load.hparams, load.projector)
    return load.is_begun or any(known) or bool(shared.projected or shared.fit or shared.command)


def _main(loads: list[Load], runs: list[Run]) -> int | None:
    """The load that served: of the last start the one with most bytes, the model rather than its draft."""
    if not loads:
        return None
    real = [index for index, load in enumerate(loads) if load.has_buffers and not load.is_dry] or list(
        range(len(loads))
    )
    last = {load.process: runs[index] for index, load in enumerate(loads) if index in set(real)}
    return max(
        (index for index in real if runs[index] is last[loads[index].process]),
        key=lambda index: (not loads[index].is_draft, sum(loads[index].sizes(BufferKind.MODEL).values()), index),
    )


def _build(log: Collector, values: Values, line: int) -> None:
    known = log.report.build
    number = int(values["number"])
    # The server prints its build twice, once without a commit that is worth the name.
    if known is None or number or not known.number:
        log.report = replace(log.report, build=LogBuild(number=number, commit=values["commit"], line=line))


def _verbosity(log: Collector, values: Values, _line: int) -> None:
    log.report = replace(log.report, verbosity=int(values["level"]))


def _threads(log: Collector, values: Values, _line: int) -> None:
    log.report = replace(log.report, n_threads=int(values["n"]))


def _numa_nodes(log: Collector, values: Values, line: int) -> None:
    log.report = replace(log.report, numa_nodes=int(values["n"]), numa_line=line)


def _numa_balancing(log: Collector, _values: Values, _line: int) -> None:
    log.report = replace(log.report, has_numa_balancing=True)


def _fitted(log: Collector, values: Values, _line: int) -> None:
    log.report = replace(log.report, fitted=("-c", *values["text"].replace('"', "").split()))


def _device(log: Collector, values: Values, line: int) -> None:
    total, free = int(values["total"]) * MIB, int(values["free"]) * MIB
    log.describe(values["device"], line, description=values["description"], total=total, free=free)


def _fit_demand(log: Collector, values: Values, line: int) -> None:
    """What fit finds free is what it would leave and what it would use."""
    total, free = int(values["total"]) * MIB, (int(values["used"]) + int(values["left"])) * MIB
    log.describe(values["device"], line, description=values["description"], total=total, free=max(0, free))


def _using_device(log: Collector, values: Values, line: int) -> None:
    log.describe(values["device"], line, description=values.get("description"), free=int(values["free"]) * MIB)


def _cuda_device(log: Collector, values: Values, line: int) -> None:
    kind = "ROCm" if "arch" in values else "CUDA"
    log.describe(
        f"{kind}{values['index']}",
        line,
        description=values["description"],
        total=int(values["total"]) * MIB if "total" in values else None,
        compute_capability=values.get("capability") or values.get("arch", "").partition(":")[0] or None,
        has_vmm=values["vmm"] == "yes",
    )


def _timing(log: Collector, values: Values, line: int) -> None:
    phase = Phase.PROMPT if values["kind"].startswith("prompt") else Phase.DECODE
    tokens, seconds = int(values["n"]), float(values["ms"]) / 1e3
    if tokens and seconds > 0:
        log.time(Timing(phase=phase, tokens=tokens, seconds=seconds, rate=float(values["rate"]), line=line))


def _bench(log: Collector, values: Values, line: int) -> None:
    test, rate = values["test"], float(values["rate"])
    phase = Phase.PROMPT if test.startswith("pp") else Phase.DECODE
    _bench_timing(log, phase, int(test[2:]), rate, int(values.get("depth", 0)), line)


def _bench_row(log: Collector, values: Values, line: int) -> None:
    try:
        row = json.loads(values["json"])
        n_prompt, n_gen, rate = int(row["n_prompt"]), int(row["n_gen"]), float(row["avg_ts"])
        depth = int(row.get("n_depth") or 0)
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        return
    if bool(n_prompt) != bool(n_gen):
        _bench_timing(log, Phase.PROMPT if n_prompt else Phase.DECODE, n_prompt or n_gen, rate, depth, line)


def _bench_timing(log: Collector, phase: Phase, tokens: int, rate: float, depth: int, line: int) -> None:
    if tokens > 0 and 0 < rate < float("inf"):
        log.time(
            Timing(
                phase=phase,
                tokens=tokens,
                seconds=tokens / rate,
                rate=rate,
                line=line,
                depth=depth,
                source="llama-bench",
            )
        )


GLOBAL_READERS: Final[Mapping[str, Callable[[Collector, Values, int], None]]] = {
    "build": _build,
    "verbosity": _verbosity,
    "threads": _threads,
    "numa_nodes": _numa_nodes,
    "numa_balancing": _numa_balancing,
    "fitted": _fitted,
    "device": _device,
    "fit_demand": _fit_demand,
    "using_device": _using_device,
    "cuda_device": _cuda_device,
    "timing": _timing,
    "bench": _bench,
    "bench_row": _bench_row,
}

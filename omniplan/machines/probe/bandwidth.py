"""Memory bandwidth of this host: every core reads its own memory at once, several times, and the median counts.

Reading is what decoding does with weights; the kernel is numpy's float sum, which keeps up with memory on one thread
per core. Rates are bytes per second.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date
from statistics import median
from typing import Final

from omniplan import system
from omniplan.domain.cpuset import parse_cpus
from omniplan.domain.evidence import Basis
from omniplan.domain.machine import Machine
from omniplan.domain.processor import NumaNode
from omniplan.domain.progress import Progress, unwatched
from omniplan.errors import InputError
from omniplan.units import GIB, MIB

# Runs further apart than this are not a measurement of the memory; see Rates.spread.
LARGEST_SPREAD: Final = 0.25
# A load average above this share of the CPUs means that others use the memory as well.
BUSIEST: Final = 0.25
_RUNS: Final = 7
_PASSES: Final = 4
_LEAST: Final = 32 * MIB
_MOST: Final = 512 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRates:
    """Bytes per second of each run."""

    runs: tuple[float, ...]

    @property
    def value(self) -> float:
        """The median run."""
        return median(self.runs)

    @property
    def spread(self) -> float:
        """Width of the middle runs (all but the fastest and the slowest), as a share of the median."""
        middle = sorted(self.runs)[1:-1] if len(self.runs) > 3 else self.runs
        return (max(middle) - min(middle)) / self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Measured rates of this host on ``day`` (ISO date): all cores together, and each NUMA node from its own cores."""

    memory: MeasuredRates
    nodes: dict[int, MeasuredRates]
    day: str

    def applied_to(self, machine: Machine) -> Machine:
        """``machine`` with these rates, marked as measured."""
        if machine.memory is None:
            raise InputError("memory: is missing, so there is nothing to calibrate; probe this machine first")
        memory = replace(
            machine.memory,
            bandwidth=_rounded(self.memory.value),
            bandwidth_basis=Basis.MEASURED,
            measured=self.day,
        )
        nodes = tuple(
            replace(node, bandwidth=_rounded(self.nodes[node.index].value)) if node.index in self.nodes else node
            for node in machine.numa_nodes
        )
        return replace(machine, memory=memory, numa_nodes=nodes)


def calibrate(
    machine: Machine,
    *,
    progress: Progress = unwatched,
    load_average: Callable[[], float | None] = system.load_average,
    runs: int = _RUNS,
    size: int | None = None,
    largest_spread: float = LARGEST_SPREAD,
) -> Calibration:
    """Measure this host, which ``machine`` describes; raises InputError when it is too busy to trust the figures.

    Takes about a second per run; ``size`` are bytes per thread, by default what outgrows the caches.
    """
    cpus = sorted(_allowed())
    load = load_average() or 0.0
    if load > max(1.0, BUSIEST * len(cpus)):
        raise InputError(
            f"calibrate: the load average is {load:.1f} on {len(cpus)} CPUs; stop other work and try again"
        )
    size = _size(machine, len(cpus)) if size is None else size
    nodes = [node for node in machine.numa_nodes if _bound(node, cpus)] if len(machine.numa_nodes) > 1 else []
    steps = _Steps(progress, runs * (1 + len(nodes)))
    memory = measure(cpus, size=size, runs=runs, step=steps.one)
    by_node = {node.index: measure(_bound(node, cpus), size=size, runs=runs, step=steps.one) for node in nodes}
    for name, rates in {"memory": memory, **{f"node {index}": rates for index, rates in by_node.items()}}.items():
        if rates.spread > largest_spread:
            shown = ", ".join(f"{rate / 1e9:.1f}" for rate in sorted(rates.runs))
            raise InputError(
                f"calibrate: {name}: the runs differ by {rates.spread:.0%} ({shown} GB/s); nothing is written"
            )
    return Calibration(memory=memory, nodes=by_node, day=date.today().isoformat())  # noqa: DTZ011 (a day, not a moment)


def measure(cpus: Sequence[int], *, size: int, runs: int, step: Callable[[], None] = lambda: None) -> MeasuredRates:
    """Bytes per second that threads bound to ``cpus`` read together, ``size`` bytes each."""
    import numpy as np

    start = threading.Barrier(len(cpus))
    times: list[list[tuple[float, float]]] = [[] for _ in cpus]

    def work(place: int) -> None:
        system.bind(cpus[place])
        block = np.ones(size // 4, dtype=np.float32)  # First touched here, so the pages are on this thread's node.
        for _ in range(runs):
            start.wait()
            begin = time.perf_counter()
            for _ in range(_PASSES):
                block.sum()
            times[place].append((begin, time.perf_counter()))
            if place == 0:
                step()

    threads = [threading.Thread(target=work, args=(place,), daemon=True) for place in range(len(cpus))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return MeasuredRates(runs=tuple(_rate(spans, len(cpus) * size * _PASSES) for spans in zip(*times, strict=True)))


def _rate(spans: Sequence[tuple[float, float]], size: int) -> float:
    return size / (max(end for _, end in spans) - min(begin for begin, _ in spans))


class _Steps:
    """Counts finished runs for a progress display."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def one(self) -> None:
        self._done += 1
        self._progress(self._done, self._total, "measuring memory")


def _allowed() -> Collection[int]:
    return system.processors() or range(os.cpu_count() or 1)


def _bound(node: NumaNode, cpus: Sequence[int]) -> list[int]:
    return sorted(parse_cpus(node.cpus) & set(cpus))


def _size(machine: Machine, n_threads: int) -> int:
    """Four times the L3 in all, and no more than a quarter of what is free."""
    caches = machine.cpu.l3 if machine.cpu and machine.cpu.l3 else 0
    wanted = min(max(_LEAST, 4 * caches // n_threads), _MOST)
    room = (machine.memory.available if machine.memory else GIB) // 4 // n_threads
    if room < _LEAST:
        raise InputError(
            f"calibrate: {room * n_threads * 4 // MIB} MiB of free memory are too few to outgrow the caches; "
            f"free some and try again"
        )
    return min(wanted, room)


def _rounded(rate: float) -> float:
    """To 0.1 GB/s: the runs differ by more."""
    return round(rate / 1e8) * 1e8

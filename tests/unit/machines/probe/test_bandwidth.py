"""Measuring memory bandwidth, and refusing to write what is not a measurement."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniplan.domain.machine import Machine, Memory
from omniplan.errors import InputError
from omniplan.machines.files import load_machine, machine_toml, parse_machine
from omniplan.machines.probe.bandwidth import Calibration, MeasuredRates, calibrate, measure
from omniplan.units import GIB, MIB

SMALL = MIB
IDLE = 0.0


def _machine(total: int = 8 * GIB) -> Machine:
    return Machine(name="here", memory=Memory(total=total))


@given(st.lists(st.floats(1e9, 1e12), min_size=1, max_size=9))
def test_the_median_lies_among_the_runs(runs: list[float]) -> None:
    rates = MeasuredRates(runs=tuple(runs))

    assert min(runs) <= rates.value <= max(runs)
    assert rates.spread >= 0


def test_one_stray_run_is_no_spread() -> None:
    assert MeasuredRates(runs=(1e9, 100e9, 100e9, 100e9, 500e9)).spread == 0


def test_reading_takes_time() -> None:
    rates = measure([0, 0] if os.cpu_count() == 1 else [0, 1], size=SMALL, runs=3)

    assert len(rates.runs) == 3
    assert all(1e8 < rate < 1e13 for rate in rates.runs)


def test_calibrate_shows_its_progress_and_marks_the_machine() -> None:
    steps: list[tuple[int, int]] = []

    def progress(done: int, total: int, _label: str) -> None:
        steps.append((done, total))

    found = calibrate(_machine(), progress=progress, load_average=lambda: IDLE, runs=3, size=SMALL, largest_spread=1e9)

    assert steps == [(1, 3), (2, 3), (3, 3)]
    memory = found.applied_to(_machine()).memory
    assert memory is not None
    assert memory.bandwidth is not None
    assert (memory.bandwidth_basis, memory.measured) == ("measured", found.day)
    assert abs(memory.bandwidth - found.memory.value) <= 0.05e9
    assert parse_machine(machine_toml(found.applied_to(_machine()))) == found.applied_to(_machine())


def test_nodes_are_marked_each() -> None:
    machine = load_machine("omni-nps4")
    rates = MeasuredRates(runs=(50e9,))

    marked = Calibration(memory=MeasuredRates(runs=(200e9,)), nodes={1: rates}, day="2026-01-30").applied_to(machine)

    assert [node.bandwidth for node in marked.numa_nodes] == [None, 50e9, None, None]


def test_a_busy_machine_is_refused() -> None:
    with pytest.raises(InputError, match=r"the load average is 99\.0"):
        calibrate(_machine(), load_average=lambda: 99.0)


def test_runs_that_differ_are_refused() -> None:
    with pytest.raises(InputError, match=r"the runs differ by .* GB/s\); nothing is written"):
        calibrate(_machine(), load_average=lambda: IDLE, runs=5, size=SMALL, largest_spread=-1.0)


def test_too_little_memory_is_refused() -> None:
    with pytest.raises(InputError, match="too few to outgrow the caches"):
        calibrate(_machine(16 * MIB), load_average=lambda: IDLE)


def test_a_machine_without_memory_has_nothing_to_mark() -> None:
    found = Calibration(memory=MeasuredRates(runs=(1e9,)), nodes={}, day="2026-01-30")

    with pytest.raises(InputError, match="memory: is missing"):
        found.applied_to(replace(_machine(), memory=None))

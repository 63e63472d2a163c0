"""GPU memory while a server runs: the most seen, each device against its own budget, unknown where it is unknown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import omniplan
from omniplan.bench import memory
from omniplan.bench.gates import GateVerdict, Metric
from omniplan.bench.judge import figure
from omniplan.bench.memory import GpusUnseen, MemoryReader, fixed_budget, planned_budget
from omniplan.bench.values import BenchReport, DeviceMemory
from omniplan.domain.machine import Gpu
from omniplan.domain.plan import Plan
from omniplan.units import GIB
from tests.contracts.sources import ROOT

BIG = Gpu(name="NVML0", description="RTX 4090", total=24 * GIB, free=4 * GIB, uuid="GPU-1")
SMALL = Gpu(name="NVML1", description="RTX 5070 Ti", total=16 * GIB, free=12 * GIB, uuid="GPU-2")


def reader(*readings: Sequence[Gpu], budget: int | None = None) -> MemoryReader:
    turns = iter(readings)

    def gpus() -> Sequence[Gpu]:
        found = next(turns)
        if not found:
            raise GpusUnseen("no NVIDIA GPU is seen")
        return found

    found = MemoryReader(fixed_budget(budget), gpus=gpus)
    for _ in readings:
        found.read()
    return found


def test_the_most_seen_counts() -> None:
    """A peak between two readings that are lower."""
    low, high = replace(BIG, free=20 * GIB), replace(BIG, free=1 * GIB)

    assert [device.used for device in reader([low], [high], [low]).most] == [23 * GIB]


def test_without_gpus_memory_is_unknown() -> None:
    """And asked for once: the second reading would end the iterator."""
    found = reader([], [BIG])

    assert found.most == ()
    assert found.unknown == "no NVIDIA GPU is seen"


def test_nvidia_smi_stands_in_for_nvml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Used memory is what its XML says; a program that fails leaves memory unknown, with the reason."""
    program = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    program.write_text(f"#!/bin/sh\ncat {ROOT / 'tests/data/machines/nvidia-smi.xml'}\n", encoding="utf-8")
    program.chmod(0o755)
    gpus = memory._from_smi("no NVML")

    assert gpus
    assert all(0 < gpu.total - gpu.free < gpu.total for gpu in gpus)
    program.write_text("#!/bin/sh\nexit 9\n", encoding="utf-8")
    with pytest.raises(GpusUnseen, match="exit status 9"):
        memory._from_smi("no NVML")


def report(devices: tuple[DeviceMemory, ...]) -> BenchReport:
    return BenchReport(
        version="0", date="", url="", model="", server="", n_gen=1, samples=(), rows=(), cold_tokens_per_second=None,
        stability=None, memory=devices, memory_unknown="", plan="", differences=(), gates=(),
        verdict=GateVerdict.UNKNOWN,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("budget", "expected"),
    [(16 * GIB, 20 / 16), (40 * GIB, 20 / 40), (None, None)],
)
def test_budgets_hold_per_device(budget: int | None, expected: float | None) -> None:
    """24 GiB in use on two GPUs may be within 32 GiB together and still beyond what one may hold."""
    devices = reader([BIG, SMALL], budget=budget).most

    assert figure(report(devices), Metric.VRAM) == expected


def test_one_device_without_a_budget_makes_the_share_unknown() -> None:
    """Nobody knows whether that one is within it."""
    known, unknown = (DeviceMemory(name="a", uuid="", used=1, total=2, budget=b) for b in (2, None))

    assert figure(report((known, unknown)), Metric.VRAM) is None
    assert figure(report(()), Metric.VRAM) is None


@pytest.fixture(scope="module")
def plan() -> Plan:
    """A plan for two unlike GPUs."""
    path = ROOT / "tests/data/models/archs/llama-dense.gguf"
    return omniplan.plan(path, omniplan.load_machine("dual-4090-5070ti"), n_ctx=4096)


def budgets(plan: Plan, gpus: Sequence[Gpu]) -> Iterator[int | None]:
    return (planned_budget(plan)(gpu, gpus) for gpu in gpus)


def test_a_plan_s_budget_is_its_gpu_less_the_growth_it_keeps(plan: Plan) -> None:
    """GPUs are found by UUID, else by model where there is one of each."""
    first = plan.machine.gpus[0]
    growth = {margin.pool: margin.growth for margin in plan.margins}
    here = replace(first, name="NVML7", uuid="GPU-9")
    stranger = replace(here, description="RTX 9999", uuid="GPU-0")

    assert list(budgets(plan, [here, stranger])) == [first.total - growth.get(first.name, 0), None]


def test_two_of_a_kind_cannot_be_told_apart(plan: Plan) -> None:
    """Their budgets stay unknown."""
    first = replace(plan.machine.gpus[0], uuid="")
    twins = [replace(first, name="NVML0", uuid="GPU-1"), replace(first, name="NVML1", uuid="GPU-2")]

    assert list(budgets(plan, twins)) == [None, None]

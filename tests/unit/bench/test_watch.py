"""What disturbs a run: GPUs that heat or power hold down, and work of others on the host."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from omniplan.bench import watch
from omniplan.machines.probe import gpu_state
from omniplan.machines.probe.gpu_state import GpuState, states
from omniplan.machines.probe.host_load import HostLoad
from omniplan.machines.probe.nvml import opened
from tests.fakes import FakeGpu, FakeNvml

TICKS = os.sysconf("SC_CLK_TCK")


def seen(*gpus: FakeGpu) -> Sequence[GpuState]:
    """The states of these GPUs."""
    with opened(FakeNvml(gpus)) as devices:
        return states(devices)


@pytest.mark.parametrize(
    ("reasons", "slowed"),
    [
        (0x0, ""),
        (0x1, ""),
        (0x4, ""),
        (0x20, "by heat"),
        (0x48, "by heat"),
        (0x88, "by the power supply"),
        (0x8, "by the hardware"),
    ],
)
def test_a_gpu_says_what_holds_it_down(reasons: int, slowed: str) -> None:
    """Idling and its own power limit do not count; heat, a failing supply and the hardware do."""
    (state,) = seen(FakeGpu(reasons=reasons, degrees=84, busy=97))

    assert state == GpuState(name="RTX 4090", degrees=84, busy=0.97, slowed=slowed)


def test_the_names_are_nvml_s() -> None:
    """Every function and every reason that is asked for is in NVIDIA's own binding."""
    pynvml = pytest.importorskip("pynvml", reason="needs nvidia-ml-py")
    names = (*gpu_state._REASONS, *gpu_state._SLOWING, "nvmlDeviceGetTemperature", "nvmlDeviceGetUtilizationRates")

    assert [name for name in names if not hasattr(pynvml, name)] == []
    assert pynvml.NVML_TEMPERATURE_GPU == gpu_state._CORE_SENSOR


def test_older_drivers_and_gpus_that_say_nothing() -> None:
    """The older name is asked where the newer is not known; nothing known is nothing said."""
    (older,) = seen(FakeGpu(reasons=0x40, missing=frozenset({"event reasons"})))
    (silent,) = seen(FakeGpu(missing=frozenset({"event reasons", "throttle reasons", "temperature 0", "utilization"})))

    assert older.slowed == "by heat"
    assert silent == GpuState(name="RTX 4090")


def test_a_run_of_a_hot_gpu_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """With how long and how hot; the GPU beside it, which is well, is not named."""
    monkeypatch.setattr(watch, "_PERIOD", 0.01)
    nvml, looks, lines = FakeNvml((FakeGpu(), FakeGpu(name="RTX 3090", reasons=0x20, degrees=88))), [], list[str]()
    enough = threading.Event()

    def counted(gpu: FakeGpu) -> int:
        looks.append(gpu)
        if len(looks) > 6:
            enough.set()
        return gpu.reasons

    nvml.nvmlDeviceGetCurrentClocksEventReasons = counted  # type: ignore[method-assign]
    with watch.watched("", lines.append, lambda: opened(nvml)):
        assert enough.wait(10)

    assert lines == ["RTX 3090 was slowed by heat in 100% of the run, at up to 88 °C"]
    assert nvml.calls == ["init", "shutdown"]


def test_a_host_without_nvml_is_not_asked_again() -> None:
    """And a server that runs already tells nobody whose work the host does."""
    lines: list[str] = []
    with watch.watched("", lines.append, lambda: opened(FakeNvml(broken=1))):
        pass

    assert lines == []


def stat(path: Path, *, busy: float, idle: float) -> None:
    """The kernel's counters, in seconds."""
    path.write_text(f"cpu  {int(busy * TICKS)} 0 0 {int(idle * TICKS)} 0 0 0 0 0 0\ncpu0 1 2 3\n", encoding="ascii")


def test_what_others_take_of_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Busy time less that of this process and its children, over all threads."""
    clock = iter([100.0, 110.0])
    own = iter([(1.0, 0.0, 0.0, 0.0, 0.0), (3.0, 0.0, 4.0, 0.0, 0.0)])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    monkeypatch.setattr("os.times", lambda: next(own))
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    stat(tmp_path / "stat", busy=1000, idle=1000)
    load = HostLoad(tmp_path / "stat")
    stat(tmp_path / "stat", busy=1026, idle=1014)

    assert load.others() == pytest.approx((26 - 6) / 40)


@pytest.mark.parametrize("text", ["", "cpu  1 2\n", "cpu  a b c d e f g h\n", None])
def test_a_host_that_does_not_say(tmp_path: Path, text: str | None) -> None:
    """Nothing is known, and nothing is told."""
    if text is not None:
        (tmp_path / "stat").write_text(text, encoding="ascii")

    assert HostLoad(tmp_path / "stat").others() is None


@pytest.mark.parametrize(
    ("command", "told"),
    [("llama-server", True), ("numactl -i all llama-server", True), ("docker run x", False), ("", False)],
)
def test_only_children_are_told_apart_from_others(monkeypatch: pytest.MonkeyPatch, command: str, told: bool) -> None:
    """What a daemon starts is no child of ours, and would count as others' work."""
    lines: list[str] = []
    monkeypatch.setattr(HostLoad, "others", lambda _: 0.5)
    with watch.watched(command, lines.append, lambda: opened(FakeNvml(broken=1))):
        pass

    assert (lines == ["other work took 50% of the host's threads during the run"]) is told

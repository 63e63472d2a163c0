"""Whether a host is quiet before anything is measured on it."""

from __future__ import annotations

import pytest

import omniplan
from omniplan.bench import memory, quiet
from omniplan.errors import InputError
from omniplan.machines.probe.nvml import opened, read_gpus
from tests.fakes import MIB, FakeGpu, FakeNvml

DESKTOP = FakeGpu(used=600 * MIB, processes=((77, 600 * MIB),))
OTHERS = FakeGpu(used=9000 * MIB, processes=((78, 9000 * MIB),))


def test_a_desktop_may_stay_and_another_model_may_not() -> None:
    """Windows take a few hundred MiB; what takes more is named with its process."""
    nvml = FakeNvml((DESKTOP, OTHERS))

    assert list(quiet.occupied(lambda: read_gpus(nvml)[0])) == ["RTX 4090: 9,000 MiB in use by process 78 llama-server"]


def test_tuning_does_not_begin_beside_another_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, before any run."""
    monkeypatch.setattr(memory, "read_gpus", lambda: read_gpus(FakeNvml((OTHERS,))))

    with pytest.raises(InputError, match="in use by process 78 llama-server; stop that first"):
        omniplan.tune(
            "tests/data/models/archs/llama-moe.gguf", "dual-4090-5070ti", n_ctx=512, n_ubatch=512, journal="never.jsonl"
        )


def test_other_work_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A load average above a quarter of the threads, a GPU that computes, and one that is slowed already."""
    monkeypatch.setattr("os.getloadavg", lambda: (3.0, 0.0, 0.0))
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    busy = FakeNvml((FakeGpu(busy=95), FakeGpu(name="RTX 3090", reasons=0x40), FakeGpu()))

    assert list(quiet.unrest(lambda: opened(busy))) == [
        "load average 3.0 on 8 threads: other work takes time from the runs",
        "RTX 4090 is 95% busy before the first run",
        "RTX 3090 is slowed by heat before the first run",
    ]
    monkeypatch.setattr("os.getloadavg", lambda: (1.0, 0.0, 0.0))
    assert list(quiet.unrest(lambda: opened(FakeNvml(broken=1)))) == []

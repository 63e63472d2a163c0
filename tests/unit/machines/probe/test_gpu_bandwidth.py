"""GPU bandwidth through a torch that is already installed; here a stand-in with its calls."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest

from omniplan.machines.files import load_machine
from omniplan.machines.probe.gpu_bandwidth import calibrate_gpus, gpu_rates, installed_torch


class Tensor:
    """A tensor whose copies take time."""

    def copy_(self, source: Tensor, *, non_blocking: bool) -> None:
        assert non_blocking
        assert isinstance(source, Tensor)


@dataclass
class Cuda:
    """torch.cuda with GPUs of these names."""

    names: list[str]
    synchronize: Any = nullcontext

    def device_count(self) -> int:
        return len(self.names)

    def get_device_name(self, index: int) -> str:
        return self.names[index]

    def is_available(self) -> bool:
        return bool(self.names)


@dataclass
class Torch:
    """torch, recording what was allocated."""

    cuda: Cuda
    uint8: str = "uint8"
    calls: list[dict[str, Any]] = field(default_factory=list)

    def empty(self, size: int, **options: Any) -> Tensor:
        self.calls.append({"size": size, **options})
        return Tensor()


def test_rates_use_pinned_memory_and_the_right_device() -> None:
    torch = Torch(Cuda(["a", "b"]))

    inside, link = gpu_rates(torch, 1, size=1000, runs=2)

    assert inside > 0
    assert link > 0
    assert [call.get("device", "pinned") for call in torch.calls] == ["pinned", "cuda:1", "cuda:1"]


def test_only_gpus_of_the_same_name_are_marked() -> None:
    """Another order than the machine's would write one card's figures to the other."""
    machine = load_machine("dual-4090-5070ti")

    right = calibrate_gpus(machine, Torch(Cuda(["NVIDIA GeForce RTX 4090", "NVIDIA GeForce RTX 3090"])))

    assert [gpu.bandwidth_basis for gpu in right.gpus] == ["measured", "spec"]
    assert right.gpus[0].link_bandwidth is not None
    assert right.gpus[1] == machine.gpus[1]
    assert calibrate_gpus(machine, Torch(Cuda([]))) == machine


@pytest.mark.skipif("torch" in sys.modules, reason="torch is in use")
def test_nothing_is_measured_without_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omniplan.machines.probe.gpu_bandwidth.find_spec", lambda _: None)

    assert installed_torch() is None

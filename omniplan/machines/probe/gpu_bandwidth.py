"""GPU memory and link bandwidth, measured through torch where it is already installed; nothing is installed for it."""

from __future__ import annotations

import time
from dataclasses import replace
from importlib.util import find_spec
from statistics import median
from typing import Any

from omniplan.domain.evidence import Basis
from omniplan.domain.machine import Gpu, Machine
from omniplan.machines.gpus import key_of
from omniplan.units import MIB


def installed_torch() -> Any | None:
    """The torch module when it is installed and sees a CUDA device (importing it takes seconds), else None."""
    if find_spec("torch") is None:
        return None
    import importlib

    torch = importlib.import_module("torch")
    return torch if torch.cuda.is_available() else None


def calibrate_gpus(machine: Machine, torch: Any) -> Machine:
    """``machine`` with measured bandwidths of each GPU that ``torch`` sees under the same number and name."""
    return replace(machine, gpus=tuple(_measured(gpu, index, torch) for index, gpu in enumerate(machine.gpus)))


def _measured(gpu: Gpu, index: int, torch: Any) -> Gpu:
    if gpu.name != f"CUDA{index}" or index >= torch.cuda.device_count():
        return gpu
    if key_of(torch.cuda.get_device_name(index)) != key_of(gpu.description):
        return gpu
    inside, link = gpu_rates(torch, index)
    return replace(gpu, bandwidth=_rounded(inside), bandwidth_basis=Basis.MEASURED, link_bandwidth=_rounded(link))


def gpu_rates(torch: Any, index: int = 0, *, size: int = 256 * MIB, runs: int = 5) -> tuple[float, float]:
    """Bytes per second of GPU memory (a copy reads and writes) and of the link from pinned host memory."""
    device = f"cuda:{index}"
    host = torch.empty(size, dtype=torch.uint8, pin_memory=True)
    first, second = (torch.empty(size, dtype=torch.uint8, device=device) for _ in range(2))

    def seconds(target: Any, source: Any) -> float:
        torch.cuda.synchronize(index)
        begin = time.perf_counter()
        target.copy_(source, non_blocking=True)
        torch.cuda.synchronize(index)
        return time.perf_counter() - begin

    # One run more than asked for: the first wakes an idle link, and the median drops it.
    inside = median(seconds(second, first) for _ in range(runs + 1))
    link = median(seconds(first, host) for _ in range(runs + 1))
    return 2 * size / inside, size / link


def _rounded(rate: float) -> float:
    return round(rate / 1e8) * 1e8

"""Whether a host is quiet before anything is measured on it: GPUs that others hold, and other work."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Final

from omniplan import system
from omniplan.bench.memory import GpusUnseen, gpus_now
from omniplan.bench.watch import BUSY
from omniplan.domain.machine import Gpu, ReservationKind
from omniplan.machines.probe.gpu_state import states
from omniplan.machines.probe.nvml import NvmlDevice, NvmlMissing, opened
from omniplan.units import MIB, mib

# What a desktop's windows take of the GPU that shows them; a model takes more.
_DESKTOP: Final = 1024 * MIB


def occupied(gpus: Callable[[], Sequence[Gpu]] = gpus_now) -> Iterator[str]:
    """GPUs of which other processes hold more than a desktop does, one line each."""
    try:
        found = gpus()
    except GpusUnseen:
        return
    for gpu in found:
        others = [item for item in gpu.reserved if item.kind is ReservationKind.PROCESS]
        held = sum(item.size for item in others)
        if held > _DESKTOP:
            yield f"{gpu.description or gpu.name}: {mib(held)} in use by {', '.join(item.reason for item in others)}"


def unrest(devices: Callable[[], AbstractContextManager[Sequence[NvmlDevice]]] = opened) -> Iterator[str]:
    """What else works on this host now, one line each."""
    load, cores = system.load_average() or 0.0, os.cpu_count() or 1
    if load > BUSY * cores:
        yield f"load average {load:.1f} on {cores} threads: other work takes time from the runs"
    try:
        with devices() as found:
            for state in states(found):
                if state.busy is not None and state.busy > BUSY:
                    yield f"{state.name} is {state.busy:.0%} busy before the first run"
                if state.slowed:
                    yield f"{state.name} is slowed {state.slowed} before the first run"
    except NvmlMissing:
        return

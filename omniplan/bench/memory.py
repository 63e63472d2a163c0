"""Memory in use on this host's GPUs while a server runs, by NVML or nvidia-smi, and the budget of each."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from omniplan.bench.values import DeviceMemory
from omniplan.domain.hosts import own_gpus
from omniplan.domain.machine import Gpu
from omniplan.domain.plan import Plan
from omniplan.errors import InputError
from omniplan.machines.probe.nvidia_smi import parse_smi
from omniplan.machines.probe.nvml import NvmlMissing, read_gpus

Budget = Callable[[Gpu, Sequence[Gpu]], int | None]
_PATIENCE: Final = 10.0


class GpusUnseen(Exception):
    """No GPU memory can be read; the text says why."""


def gpus_now() -> tuple[Gpu, ...]:
    """The NVIDIA GPUs of this host as they are now; raises GpusUnseen."""
    try:
        gpus = read_gpus()[0]
    except NvmlMissing as missing:
        gpus = _from_smi(str(missing))
    if not gpus:
        raise GpusUnseen("no NVIDIA GPU is seen")
    return gpus


def _from_smi(otherwise: str) -> tuple[Gpu, ...]:
    program = shutil.which("nvidia-smi")
    if program is None:
        raise GpusUnseen(f"{otherwise}, and there is no nvidia-smi")
    try:
        done = subprocess.run([program, "-q", "-x"], capture_output=True, text=True, check=True, timeout=_PATIENCE)
        return parse_smi(done.stdout)[0]
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError, InputError) as error:
        raise GpusUnseen(f"nvidia-smi: {error}") from error


def planned_budget(plan: Plan) -> Budget:
    """Per device its memory less what the plan keeps free there for growth; None where it is not in the plan."""
    growth = {margin.pool: margin.growth for margin in plan.margins}

    def budget(gpu: Gpu, seen: Sequence[Gpu]) -> int | None:
        planned = _same(gpu, seen, own_gpus(plan.machine))
        return None if planned is None else planned.total - growth.get(planned.name, 0)

    return budget


def _same(gpu: Gpu, seen: Sequence[Gpu], planned: Sequence[Gpu]) -> Gpu | None:
    """The plan's GPU that ``gpu`` is: by UUID, or by its model where both sides have one such."""
    for other in planned:
        if gpu.uuid and other.uuid == gpu.uuid:
            return other
    alike = [other for other in planned if other.description == gpu.description and not other.uuid]
    return alike[0] if len(alike) == 1 and Counter(g.description for g in seen)[gpu.description] == 1 else None


def fixed_budget(size: int | None) -> Budget:
    """The same bytes on every device; None: no budget is known."""
    return lambda gpu, seen: size  # noqa: ARG005 - a budget's parameters


class MemoryReader:
    """Keeps the largest use seen of each device; ``unknown`` says why nothing is."""

    def __init__(self, budget: Budget, *, unknown: str = "", gpus: Callable[[], Sequence[Gpu]] = gpus_now) -> None:
        self._budget = budget
        self._gpus = gpus
        self._found: dict[str, DeviceMemory] = {}
        self._is_closed = bool(unknown)
        self.unknown = unknown

    @property
    def most(self) -> tuple[DeviceMemory, ...]:
        """The largest use so far, in the driver's order."""
        return tuple(self._found.values())

    def read(self) -> None:
        """Look once; a host without GPUs is not asked again."""
        if self._is_closed:
            return
        try:
            gpus = self._gpus()
        except GpusUnseen as unseen:
            self._is_closed = True
            self.unknown = "" if self._found else str(unseen)
            return
        for gpu in gpus:
            now = DeviceMemory(
                name=gpu.description or gpu.name,
                uuid=gpu.uuid,
                used=gpu.total - gpu.free,
                total=gpu.total,
                budget=self._budget(gpu, gpus),
            )
            before = self._found.get(gpu.name, now)
            self._found[gpu.name] = replace(now, used=max(now.used, before.used))

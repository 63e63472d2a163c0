"""How fast a machine's memories, links and processors are, from its description, the tables, or an assumption."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from omniplan.domain.machine import Gpu, Machine
from omniplan.tables.calibration import value
from omniplan.tables.gpus import GpuRow, find_gpu

# Bytes per second per lane after encoding: PCIe base specifications 3.0 to 6.0.
_LANE: Final = {1: 0.25e9, 2: 0.5e9, 3: 0.985e9, 4: 1.969e9, 5: 3.938e9, 6: 7.563e9}

# Used where neither the machine nor a table knows; every use is reported as an assumption.
_UNKNOWN_GPU_BANDWIDTH: Final = 500e9
_UNKNOWN_GPU_FLOPS: Final = 50e12
_UNKNOWN_RAM_BANDWIDTH: Final = 50e9
_UNKNOWN_CORES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuRates:
    """One GPU: bytes per second from its memory, dense tensor operations per second, bytes per second from RAM."""

    memory: float
    flops: float
    link: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What the time model needs of a machine, and what it had to assume."""

    gpus: dict[str, GpuRates]
    ram: float
    cpu_flops: float
    assumptions: tuple[str, ...]


def rates(machine: Machine) -> Rates:
    """Rates of ``machine``; unknown ones are filled in and named in ``assumptions``."""
    assumed: list[str] = []
    return Rates(
        gpus={gpu.name: _gpu(gpu, assumed) for gpu in machine.gpus},
        ram=_ram(machine, assumed),
        cpu_flops=_cores(machine, assumed) * value("cpu.flops_per_core"),
        assumptions=tuple(assumed),
    )


def _gpu(gpu: Gpu, assumed: list[str]) -> GpuRates:
    row = find_gpu(gpu.description, gpu.total)
    memory = gpu.bandwidth or (row.bandwidth if row else None)
    if memory is None:
        assumed.append(f"{gpu.name}: memory bandwidth unknown, {_UNKNOWN_GPU_BANDWIDTH / 1e9:.0f} GB/s assumed")
    flops = gpu.fp16_flops or (row.fp16_flops if row else None)
    if flops is None:
        assumed.append(f"{gpu.name}: tensor throughput unknown, {_UNKNOWN_GPU_FLOPS / 1e12:.0f} TFLOPS assumed")
    return GpuRates(
        memory=memory or _UNKNOWN_GPU_BANDWIDTH,
        flops=flops or _UNKNOWN_GPU_FLOPS,
        link=_link(gpu, row, assumed),
    )


def _link(gpu: Gpu, row: GpuRow | None, assumed: list[str]) -> float:
    if gpu.link_bandwidth:
        return gpu.link_bandwidth
    # An idle GPU trains its link down, so what it can do counts for more than what it shows.
    generation = gpu.pcie_generation_max or gpu.pcie_generation or (row.pcie if row else None)
    width = gpu.pcie_width_max or gpu.pcie_width or (row.lanes if row else None)
    if not generation or not width:
        assumed.append(f"{gpu.name}: PCIe link unknown, generation 4 x16 assumed")
        generation, width = 4, 16
    return _LANE.get(generation, _LANE[4]) * width


def _ram(machine: Machine, assumed: list[str]) -> float:
    memory = machine.memory
    if memory is not None and memory.bandwidth:
        return memory.bandwidth
    if memory is not None and memory.nominal_bandwidth:
        sockets = machine.cpu.n_sockets if machine.cpu else 1
        return memory.nominal_bandwidth / sockets * value("cpu.nominal_share")
    assumed.append(f"RAM bandwidth unknown, {_UNKNOWN_RAM_BANDWIDTH / 1e9:.0f} GB/s assumed")
    return _UNKNOWN_RAM_BANDWIDTH


def _cores(machine: Machine, assumed: list[str]) -> int:
    if machine.cpu is not None and machine.cpu.n_cores:
        return max(1, machine.cpu.n_cores // max(1, machine.cpu.n_sockets))
    assumed.append(f"CPU cores unknown, {_UNKNOWN_CORES} assumed")
    return _UNKNOWN_CORES

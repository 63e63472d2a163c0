"""How fast a machine's memories, links and processors are, from its description, the tables, or an assumption."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from omniplan.domain.machine import Gpu, Machine
from omniplan.domain.params import LoadMode, Numa, ServerParams
from omniplan.domain.processor import Cpu
from omniplan.llamacpp.ggml.cuda import CUDA
from omniplan.llamacpp.ggml.registry import backend_name
from omniplan.machines.gpus import GpuRow, find_gpu, find_gpus
from omniplan.predict import processor

# Bytes per second per lane after encoding: PCIe base specifications 3.0 to 6.0.
_LANE: Final = {1: 0.25e9, 2: 0.5e9, 3: 0.985e9, 4: 1.969e9, 5: 3.938e9, 6: 7.563e9}

# Used where neither the machine nor a table knows; every use is reported as an assumption.
UNKNOWN_GPU_BANDWIDTH: Final = 500e9


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuRates:
    """One GPU: bytes per second from its memory and over its link, INT8 and FP16 tensor operations per second.

    ``copies`` and ``uploads`` are bytes per second from RAM as copied in one piece and expert by expert.
    ``backend`` is llama.cpp's, as "cuda"; ``compute_capability`` is CUDA's, as "8.9", or empty.
    ``network`` is bytes per second to another host's, None for one of this host, and ``latency`` the seconds of a
    message and its answer.
    """

    backend: str
    memory: float
    link: float
    copies: float
    uploads: float
    int8: float
    fp16: float
    compute_capability: str = ""
    network: float | None = None
    latency: float = 0.0

    def constant(self, name: str, known: Mapping[str, float]) -> float:
        """The constant ``name`` of this GPU: of its compute capability or back end where there is one, else of all."""
        own = known.get(f"{name}_{self.compute_capability.replace('.', '_')}")
        return own or of_backend(name, self.backend, known)


def of_backend(name: str, backend: str, known: Mapping[str, float]) -> float:
    """The constant ``name`` of a back end where there is one, else of all."""
    return known.get(f"{name}_{backend}") or known[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What the time model needs of a machine, and what it had to assume.

    ``ram`` is what the weights on the CPU can be read with, bytes per second; ``threads`` the decode threads and
    ``cores`` the physical cores that serve them, ``cores_batch`` those of a prompt batch;
    ``has_avx512`` whether they have wide integer dot products (AVX512-VNNI).
    """

    gpus: dict[str, GpuRates]
    ram: float
    threads: int
    cores: int
    cores_batch: int
    has_avx512: bool
    assumptions: tuple[str, ...]


def rates(machine: Machine, params: ServerParams, constants: Mapping[str, float]) -> Rates:
    """Rates of ``machine`` under ``params``; unknown ones are filled in and named in ``assumptions``."""
    assumed: list[str] = []
    cores = processor.cores(machine, assumed)
    sockets = machine.cpu.n_sockets if machine.cpu else 1
    is_spread = params.numa in (Numa.DISTRIBUTE, Numa.NUMACTL)
    threads = params.n_threads if params.n_threads > 0 else _default_threads(params, machine.cpu, cores)
    batch = params.n_threads_batch if params.n_threads_batch > 0 else threads
    reach = cores if is_spread else max(1, cores // sockets)
    ram = processor.bandwidth(machine, constants, assumed, is_spread=is_spread)
    return Rates(
        gpus={gpu.name: _gpu(gpu, machine, ram, params, constants, assumed) for gpu in machine.gpus},
        ram=ram,
        threads=threads,
        cores=cores,
        cores_batch=min(batch, reach),
        has_avx512="avx512_vnni" in processor.features(machine),
        assumptions=tuple(assumed),
    )


def _default_threads(params: ServerParams, cpu: Cpu | None, cores: int) -> int:
    """Threads llama.cpp takes by itself: the physical cores; with ``-t 0`` every hardware thread."""
    return cpu.n_threads if params.n_threads == 0 and cpu and cpu.n_threads else cores


def assumed_gpu_bandwidth(gpu: Gpu) -> float:
    """Bytes per second from a GPU's memory, where nobody knows it as of one in the middle of the table."""
    return gpu_bandwidth(gpu) or UNKNOWN_GPU_BANDWIDTH


def gpu_bandwidth(gpu: Gpu) -> float | None:
    """Bytes per second from a GPU's memory: as stated, else from the table, else None."""
    row = None if gpu.bandwidth else _row(gpu)
    return gpu.bandwidth or (row.bandwidth if row else None)


def _gpu(
    gpu: Gpu, machine: Machine, ram: float, params: ServerParams, constants: Mapping[str, float], assumed: list[str]
) -> GpuRates:
    row = _row(gpu)
    memory = gpu_bandwidth(gpu)
    if memory is None:
        memory = UNKNOWN_GPU_BANDWIDTH
        assumed.append(f"{gpu.name}: memory bandwidth unknown, {memory / 1e9:.0f} GB/s assumed")
    capability = gpu.compute_capability or (row.compute_capability if row else "")
    fp16 = gpu.fp16_flops or (row.fp16_flops if row else None)
    int8 = gpu.int8_ops or (row.int8_ops if row else None) or (2 * fp16 if fp16 else None)
    if int8 is None:
        int8 = memory * constants[f"gpu.ops_per_byte{'_no_tensor' if _lacks_tensor_cores(capability) else ''}"]
        assumed.append(f"{gpu.name}: tensor throughput unknown, {int8 / 1e12:.0f} INT8 TOPS assumed")
    network, latency = _network(gpu, machine, constants, assumed) if gpu.endpoint else (None, 0.0)
    link, backend = network or _link(gpu, row, assumed), backend_name(gpu)
    # What the driver copies out of pages and what it copies out of pinned memory lie in one memory.
    copies = link if gpu.is_unified else _copies(link, ram, backend, params, constants)
    uploads = constants.get(f"link.expert_share_{backend}")
    return GpuRates(
        backend=backend,
        memory=memory,
        link=link,
        copies=copies,
        uploads=uploads * link if uploads else copies,
        int8=int8,
        # GeForce cards accumulate FP16 products in FP16 at the full rate, which is what cuBLAS is asked for.
        fp16=fp16 if fp16 and backend != CUDA.name else int8 / 2,
        compute_capability=capability,
        network=network,
        latency=latency,
    )


def _network(gpu: Gpu, machine: Machine, constants: Mapping[str, float], assumed: list[str]) -> tuple[float, float]:
    """Bytes per second to a GPU of another host as RPC gets at, and seconds of a message and its answer."""
    host = next((host for host in machine.hosts if host.address == gpu.endpoint), None)
    link, latency = (host.link_bandwidth, host.latency_us) if host else (None, None)
    if link is None:
        assumed.append(f"{gpu.endpoint}: link_gbs unknown, {constants['rpc.unknown_link'] / 1e9:g} GB/s assumed")
    if latency is None:
        assumed.append(f"{gpu.endpoint}: latency_us unknown, {constants['rpc.latency'] * 1e6:.0f} us assumed")
    return (
        constants["rpc.unknown_link"] if link is None else constants["rpc.link_share"] * link,
        constants["rpc.latency"] if latency is None else latency / 1e6,
    )


def _copies(link: float, ram: float, backend: str, params: ServerParams, constants: Mapping[str, float]) -> float:
    """Bytes per second that weights in RAM arrive with.

    Pinned memory is read by the GPU itself. A mapped file goes through a buffer of the driver's, so that RAM carries
    every byte several times, unless the driver pins the file's pages in place.
    """
    if params.load_mode in (LoadMode.NONE, LoadMode.DIO) and not params.no_host:
        return of_backend("link.pinned_share", backend, constants) * link
    share = of_backend("link.pageable_share", backend, constants)
    staged = of_backend("link.staged", backend, constants)
    return min(share * link, staged, of_backend("link.ram_share", backend, constants) * ram)


def _row(gpu: Gpu) -> GpuRow | None:
    """The table's row of ``gpu``; among several of one name the nearest in memory and bandwidth."""
    if found := find_gpu(gpu.description, gpu.total):
        return found
    rows = find_gpus(gpu.description) or find_gpus(re.sub(r"\s*\d+\s*GB\b|\s*\(.*", "", gpu.description))
    wanted = gpu.bandwidth or 0.0

    def key(row: GpuRow) -> tuple[bool, float]:
        return abs(row.memory - gpu.total) > row.memory // 8, abs((row.bandwidth or 0.0) - wanted)

    return min(rows, key=key, default=None)


def _lacks_tensor_cores(capability: str) -> bool:
    return bool(capability) and float(capability) < 7.0


def _link(gpu: Gpu, row: GpuRow | None, assumed: list[str]) -> float:
    if gpu.link_bandwidth:
        return gpu.link_bandwidth
    if gpu.is_unified and (memory := gpu_bandwidth(gpu)):
        # No link: a copy reads and writes the same memory.
        return memory / 2
    # An idle GPU trains its link down, so what it can do counts for more than what it shows.
    generation = gpu.pcie_generation_max or gpu.pcie_generation or (row.pcie if row else None)
    width = gpu.pcie_width_max or gpu.pcie_width or (row.lanes if row else None)
    if not generation or not width:
        assumed.append(f"{gpu.name}: PCIe link unknown, generation 4 x16 assumed")
        generation, width = 4, 16
    return _LANE.get(generation, _LANE[4]) * width

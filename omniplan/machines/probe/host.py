"""The host at hand as a Machine: every probe asked in turn, and a note for what none of them could see."""

from __future__ import annotations

import os
import platform
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

from omniplan import system
from omniplan.domain.cpuset import format_cpus
from omniplan.domain.defaults import THIS_HOST
from omniplan.domain.machine import Gpu, Machine, Memory
from omniplan.domain.processor import Cpu
from omniplan.errors import InputError
from omniplan.machines.cpus import find_cpu
from omniplan.machines.gpus import described, find_gpus
from omniplan.machines.probe import hwloc, nvml
from omniplan.machines.probe.amd import gpus_of, read_cards
from omniplan.machines.probe.cpuinfo import read_cpuinfo, slow_brand
from omniplan.machines.probe.limits import GroupLimits, read_limits
from omniplan.machines.probe.memory import MODULES_UNKNOWN, read_memory, read_modules
from omniplan.machines.probe.nvidia_smi import ask_nvidia_smi, parse_smi
from omniplan.machines.probe.order import cuda_order, without_integrated
from omniplan.machines.probe.programs import ask_vulkaninfo
from omniplan.machines.probe.sysfs import read_text, read_topology
from omniplan.machines.probe.topology import Topology
from omniplan.machines.probe.vulkaninfo import parse_text

T = TypeVar("T")

# NVML, libhwloc and py-cpuinfo answer within half a second, or wait for something that will not come.
PATIENCE: Final = 5.0
NO_GPU: Final = "no NVIDIA GPU seen: {why}. Write [[gpus]] by hand, or probe what `nvidia-smi -q -x` saved there"

NO_ROCM: Final = (
    "AMD's GPUs are taken for devices of Vulkan, since no ROCm is installed; call them ROCm0 and on for a build with it"
)
_ROCM: Final = ("opt/rocm", "usr/bin/rocminfo")
OTHER_GPU: Final = "a display controller without NVML at PCI {places}; write [[gpus]] by hand if llama.cpp can use it"


def probe_machine(
    *,
    root: Path = Path("/"),
    name: str = "",
    library: Any = None,
    load_hwloc: Callable[[], hwloc.Hwloc] = hwloc.load,
    environment: Mapping[str, str] | None = None,
    affinity: frozenset[int] | None = None,
    brand: bool = True,
    modules: str | None = None,
    ask_smi: Callable[[], str] = ask_nvidia_smi,
    ask_vulkan: Callable[[], str] = ask_vulkaninfo,
) -> Machine:
    """The host at hand; what cannot be seen stays unknown, with a note how to supply it. Needs no root, never hangs.

    Raises InputError only for CUDA variables in the environment that CUDA itself would refuse.
    ``brand`` allows py-cpuinfo (1 to 2 seconds) where the kernel does not name the CPU. The other arguments are the
    seams: a file tree, a pynvml, a libhwloc loader, the environment, the CPUs allowed, dmidecode's text, and
    what nvidia-smi and vulkaninfo print.
    """
    notes: list[str] = []
    limits = read_limits(root)
    topology = _topology(root, load_hwloc, notes)
    sockets = max(1, len(topology.packages)) if topology else 1
    memory = read_memory(root, limits, read_modules() if modules is None else modules, sockets)
    gpus, told = read_gpus(root, library, os.environ if environment is None else environment, ask_smi, ask_vulkan)
    notes += told
    gpus = tuple(placed(described(gpu), topology, memory) for gpu in gpus)
    allowed = limits.cpus & _affinity(affinity) if limits.cpus else _affinity(affinity)
    cpu = limited(_cpu(root, topology, brand=brand), topology, limits, allowed)
    if memory is None:
        notes.append("memory unknown: no /proc/meminfo; write [memory] with total_mib by hand")
    elif memory.channels is None or memory.speed_mts is None:
        notes.append(MODULES_UNKNOWN)
    if not gpus and topology and topology.pci:
        notes.append(OTHER_GPU.format(places=", ".join(topology.pci)))
    return Machine(
        name=name or THIS_HOST,
        description=_describe(cpu, gpus),
        gpus=gpus,
        memory=memory,
        numa_nodes=topology.numa_nodes() if topology else (),
        nps=topology.nodes_per_socket if topology else None,
        cpu=cpu,
        notes=tuple(notes),
        source="omniplan probe",
    )


def _topology(root: Path, load_hwloc: Callable[[], hwloc.Hwloc], notes: list[str]) -> Topology | None:
    """What hwloc sees, or the kernel's where the library is absent or another tree than this host's is read."""
    if root == Path("/"):
        try:
            return within(PATIENCE, lambda: load_hwloc().this_machine())
        except (hwloc.HwlocMissing, InputError, TimeoutError) as error:
            notes.append(f"topology read from /sys: {error}")
    found = read_topology(root)
    if found is None:
        notes.append("topology unknown: neither libhwloc nor /sys; save lstopo --of xml elsewhere and probe that file")
    return found


def read_nvidia(
    library: Any,
    environment: Mapping[str, str],
    notes: list[str],
    ask_smi: Callable[[], str] = ask_nvidia_smi,
) -> tuple[Gpu, ...]:
    """GPUs in CUDA's order, by NVML, else by nvidia-smi; none, and a note, where there is neither."""
    try:
        seen, said = within(PATIENCE, lambda: nvml.read_gpus(library))
    except (nvml.NvmlMissing, TimeoutError) as error:
        try:
            seen, said = parse_smi(ask_smi(), where="nvidia-smi -q -x")
        except InputError as other:
            notes.append(NO_GPU.format(why=f"{error}; {other}"))
            return ()
    order = cuda_order(seen, environment)
    notes.extend((*said, *order.assumptions))
    if order.pin and len(seen) > 1:
        notes.append("pin this order: " + " ".join(f"{key}={value}" for key, value in order.pin.items()))
    return order.gpus


def read_gpus(
    root: Path,
    library: Any,
    environment: Mapping[str, str],
    ask_smi: Callable[[], str],
    ask_vulkan: Callable[[], str],
) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """GPUs as llama.cpp numbers them, and notes: NVIDIA's, AMD's, a Jetson's; what Vulkan sees where there are none."""
    notes: list[str] = []
    nvidia = read_nvidia(library, environment, notes, ask_smi)
    others, told = read_amd(root) if (root / "sys/class/drm").is_dir() else ((), ())
    if not (nvidia or others):
        others, told = read_jetson(root)
    if not (nvidia or others):
        try:
            others, told = parse_text(within(PATIENCE, ask_vulkan), "vulkaninfo")
        except (InputError, TimeoutError):
            return (), tuple(notes)
    gpus, left_out = without_integrated((*nvidia, *others))
    return gpus, (*(notes if nvidia else ()), *told, *left_out)


def read_amd(root: Path) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """AMD's GPUs by the kernel, as devices of ROCm where that is installed, else of Vulkan."""
    seen = read_cards(root)
    has_rocm = any((root / place).exists() for place in _ROCM)
    gpus, notes = gpus_of(seen, "ROCm" if has_rocm else "Vulkan", "mem_info files of /sys/class/drm")
    return gpus, notes if has_rocm or not gpus else (*notes, NO_ROCM)


def read_jetson(root: Path) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """The GPU of a Jetson, which NVML does not know: by the board's name."""
    board = re.search(r"Jetson (?:AGX |Orin |Xavier )?\w+", read_text(root / "proc/device-tree/model"))
    rows = find_gpus(board[0]) if board else ()
    return tuple(Gpu(name="CUDA0", description=row.name, total=0, free=0, is_unified=True) for row in rows[:1]), ()


def placed(gpu: Gpu, topology: Topology | None, memory: Memory | None) -> Gpu:
    """``gpu`` with its NUMA node; one without memory of its own uses the RAM."""
    node = topology.pci.get(gpu.pci) if topology and gpu.pci else None
    if gpu.is_unified and gpu.total == 0 and memory is not None:
        gpu = replace(gpu, total=memory.total, free=memory.available)
    return replace(gpu, numa_node=node if gpu.numa_node is None else gpu.numa_node)


def _cpu(root: Path, topology: Topology | None, *, brand: bool) -> Cpu:
    model, features = read_cpuinfo(root)
    if not model and brand and root == Path("/"):
        model = _brand()
    cpu = topology.cpu() if topology else Cpu(n_threads=os.cpu_count() or 0)
    row = find_cpu(model) if model else None
    return replace(cpu, model=model or cpu.model, features=features or (row.features if row else ()))


def _brand() -> str:
    try:
        return within(PATIENCE, slow_brand)
    except TimeoutError:
        return ""


def within(seconds: float, ask: Callable[[], T]) -> T:
    """What ``ask`` returns or raises; TimeoutError when a driver or library does not answer in time."""
    answers: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            answers.append(ask())
        except BaseException as error:  # noqa: BLE001 (raised again below, in the caller's thread)
            errors.append(error)

    # A daemon, because a thread that waits for a wedged driver never ends.
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not answers:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return answers[0]


def limited(cpu: Cpu, topology: Topology | None, limits: GroupLimits, allowed: frozenset[int]) -> Cpu:
    """``cpu`` with what a container or an affinity leaves of it."""
    if topology is None or not allowed or topology.cpus <= allowed:
        return replace(cpu, quota=limits.quota)
    mine = topology.cpus & allowed
    cores = topology.cores_in(mine)
    return replace(cpu, quota=limits.quota, allowed=format_cpus(mine), allowed_cores=cores or None)


def _affinity(affinity: frozenset[int] | None) -> frozenset[int]:
    return system.processors() if affinity is None else affinity


def _describe(cpu: Cpu, gpus: tuple[Gpu, ...]) -> str:
    parts = [cpu.model or platform.machine(), *(gpu.description for gpu in gpus)]
    return ", ".join(part for part in parts if part)

"""Stand-ins for what a test machine may not have: NVML with its function names and error codes, and a /sys tree."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omniplan.domain.cpuset import format_cpus
from omniplan.machines.probe.topology import Topology

MIB = 1 << 20


class NVMLError(Exception):
    """As pynvml's: the value is NVML's return code."""

    def __init__(self, value: int) -> None:
        super().__init__({1: "Uninitialized", 3: "Not Supported", 4: "No Permission"}.get(value, f"code {value}"))
        self.value = value


@dataclass
class FakeGpu:
    """What one GPU answers; a function that is not here is not supported (code 3)."""

    name: str | bytes = "NVIDIA GeForce RTX 4090"
    uuid: str = "GPU-1"
    bus: str = "00000000:0A:00.0"
    total: int = 24564 * MIB
    reserved: int = 428 * MIB
    used: int = 0
    capability: tuple[int, int] = (8, 9)
    link: tuple[int, int, int, int] = (1, 16, 4, 16)
    display: int = 0
    processes: tuple[tuple[int, int | None], ...] = ()
    degrees: int = 60
    busy: int = 0
    reasons: int = 0
    missing: frozenset[str] = frozenset()


@dataclass
class Memory:
    """nvmlMemory_v2_t."""

    total: int
    reserved: int
    free: int
    used: int


@dataclass
class Value:
    """A C struct's fields."""

    busId: str = ""
    pid: int = 0
    usedGpuMemory: int | None = None
    gpu: int = 0


@dataclass
class FakeNvml:
    """A pynvml of ``gpus``; ``broken`` makes nvmlInit fail with that code."""

    gpus: tuple[FakeGpu, ...] = ()
    broken: int = 0
    calls: list[str] = field(default_factory=list)
    NVMLError: type[NVMLError] = NVMLError
    nvmlMemory_v2: int = 0x02000028
    # nvml.h: bits of the reasons for a clock below the highest.
    nvmlClocksEventReasonGpuIdle: int = 0x1
    nvmlClocksEventReasonSwPowerCap: int = 0x4
    nvmlClocksEventReasonHwSlowdown: int = 0x8
    nvmlClocksEventReasonSwThermalSlowdown: int = 0x20
    nvmlClocksEventReasonHwThermalSlowdown: int = 0x40
    nvmlClocksEventReasonHwPowerBrakeSlowdown: int = 0x80

    def nvmlInit(self) -> None:
        if self.broken:
            raise NVMLError(self.broken)
        self.calls.append("init")

    def nvmlShutdown(self) -> None:
        self.calls.append("shutdown")

    def nvmlDeviceGetCount(self) -> int:
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> FakeGpu:
        return self.gpus[index]

    def _get(self, gpu: FakeGpu, name: str, value: Any) -> Any:
        if name in gpu.missing:
            raise NVMLError(3)
        return value

    def nvmlDeviceGetName(self, gpu: FakeGpu) -> str | bytes:
        return gpu.name

    def nvmlDeviceGetUUID(self, gpu: FakeGpu) -> str:
        return gpu.uuid

    def nvmlDeviceGetPciInfo(self, gpu: FakeGpu) -> Value:
        return Value(busId=gpu.bus)

    def nvmlDeviceGetMemoryInfo(self, gpu: FakeGpu, version: int | None = None) -> Any:
        reserved = gpu.reserved if version else 0
        info = Memory(gpu.total, reserved, gpu.total - gpu.reserved - gpu.used, gpu.used)
        return self._get(gpu, "memory", info)

    def nvmlDeviceGetCudaComputeCapability(self, gpu: FakeGpu) -> tuple[int, int]:
        return gpu.capability

    def nvmlDeviceGetCurrPcieLinkGeneration(self, gpu: FakeGpu) -> Any:
        return self._get(gpu, "pcie", gpu.link[0])

    def nvmlDeviceGetCurrPcieLinkWidth(self, gpu: FakeGpu) -> Any:
        return self._get(gpu, "pcie", gpu.link[1])

    def nvmlDeviceGetMaxPcieLinkGeneration(self, gpu: FakeGpu) -> int:
        return gpu.link[2]

    def nvmlDeviceGetMaxPcieLinkWidth(self, gpu: FakeGpu) -> int:
        return gpu.link[3]

    def nvmlDeviceGetPowerManagementLimit(self, gpu: FakeGpu) -> Any:
        return self._get(gpu, "power", 450_000)

    def nvmlDeviceGetDisplayActive(self, gpu: FakeGpu) -> int:
        return gpu.display

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: FakeGpu) -> Any:
        found = [Value(pid=pid, usedGpuMemory=used) for pid, used in gpu.processes]
        return self._get(gpu, "processes", found)

    def nvmlDeviceGetTemperature(self, gpu: FakeGpu, sensor: int) -> Any:
        return self._get(gpu, f"temperature {sensor}", gpu.degrees)

    def nvmlDeviceGetUtilizationRates(self, gpu: FakeGpu) -> Any:
        return self._get(gpu, "utilization", Value(gpu=gpu.busy))

    def nvmlDeviceGetCurrentClocksEventReasons(self, gpu: FakeGpu) -> Any:
        return self._get(gpu, "event reasons", gpu.reasons)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, gpu: FakeGpu) -> Any:
        return self._get(gpu, "throttle reasons", gpu.reasons)

    def nvmlSystemGetProcessName(self, pid: int) -> str:
        if pid == 1:
            raise NVMLError(4)
        return "/usr/bin/llama-server --model x"


def write(path: Path, text: object) -> None:
    """A file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


def write_sysfs(root: Path, topology: Topology) -> None:
    """The files under ``root``/sys and ``root``/proc from which the kernel would show ``topology``."""
    cpu = root / "sys/devices/system/cpu"
    for name in ("online", "possible", "present"):
        write(cpu / name, format_cpus(topology.cpus))
    for index, package in enumerate(topology.packages):
        for number in package:
            write(cpu / f"cpu{number}/topology/physical_package_id", index)
            write(cpu / f"cpu{number}/topology/package_cpus_list", format_cpus(package))
            write(cpu / f"cpu{number}/topology/core_siblings", f"{_mask(package)}")
    for index, core in enumerate(topology.cores):
        for number in core:
            write(cpu / f"cpu{number}/topology/core_id", index)
            write(cpu / f"cpu{number}/topology/core_cpus_list", format_cpus(core))
            write(cpu / f"cpu{number}/topology/thread_siblings", f"{_mask(core)}")
    for index, (group, size) in enumerate(topology.l3.items()):
        for number in group:
            cache = cpu / f"cpu{number}/cache/index3"
            write(cache / "level", 3)
            write(cache / "type", "Unified")
            write(cache / "id", index)
            write(cache / "size", f"{size >> 10}K")
            write(cache / "shared_cpu_list", format_cpus(group))
            write(cache / "shared_cpu_map", _mask(group))
    _write_nodes(root, topology)
    if topology.efficient:
        write(root / "sys/devices/cpu_atom/cpus", format_cpus(topology.efficient))
    for busid, node in topology.pci.items():
        write(root / f"sys/bus/pci/devices/{busid}/class", "0x030000")
        write(root / f"sys/bus/pci/devices/{busid}/numa_node", -1 if node is None else node)


def _write_nodes(root: Path, topology: Topology) -> None:
    folder = root / "sys/devices/system/node"
    for name in ("online", "has_memory"):
        write(folder / name, format_cpus(node.index for node in topology.nodes))
    for node in topology.nodes:
        write(folder / f"node{node.index}/cpulist", format_cpus(node.cpus))
        write(folder / f"node{node.index}/cpumap", _mask(node.cpus))
        write(folder / f"node{node.index}/meminfo", f"Node {node.index} MemTotal:       {node.total >> 10} kB")
        write(folder / f"node{node.index}/distance", " ".join(str(item) for item in node.distances or (10,)))


def _mask(cpus: frozenset[int]) -> str:
    bits = sum(1 << cpu for cpu in cpus)
    words = [f"{bits >> 32 * place & 0xFFFFFFFF:08x}" for place in range(max(1, -(-bits.bit_length() // 32)))]
    return ",".join(reversed(words))

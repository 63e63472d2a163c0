"""A machine: GPUs, RAM, NUMA nodes and CPU, each with what it holds, what is reserved and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final

from omniplan.documents.column import Amount, Column, Count, Gbs, Mib, Positive, Tera
from omniplan.documents.record import plain, read
from omniplan.domain.cpuset import format_cpus, parse_cpus
from omniplan.domain.evidence import Basis
from omniplan.errors import InputError
from omniplan.units import MIB

_PCI: Final = r"([0-9a-fA-F]{4,8}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]"


def _cpuset(text: str) -> str:
    """A cpuset in normal form; one that is written but names no CPU is an error."""
    if not (found := parse_cpus(text)):
        raise InputError("names no CPU; leave it out where it is unknown")
    return format_cpus(found)


def _room(values: Mapping[str, Any]) -> int:
    """Bytes that nothing has reserved."""
    return int(values["total"] - sum(item.size for item in values["reserved"]))


def _named(values: Mapping[str, Any]) -> int:
    """Hardware threads that the cpuset names."""
    return len(parse_cpus(values["cpus"]))


ComputeCapability = Annotated[str, Column(pattern=r"\d{1,2}\.\d", example="8.9")]
Cpuset = Annotated[str, Column(parse=_cpuset)]
# How a bandwidth of a machine may be known: no header tells it.
BandwidthBasis = Annotated[Basis, Column(choices=tuple(basis for basis in Basis if basis is not Basis.HEADER))]


class ReservationKind(StrEnum):
    """Who keeps memory from a model, where that is known."""

    UNKNOWN = ""
    CUDA_CONTEXT = "cuda_context"
    DRIVER = "driver"
    DISPLAY = "display"
    PROCESS = "process"
    SYSTEM = "system"
    CGROUP = "cgroup"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Bytes that something other than the model keeps, and why."""

    size: Annotated[Mib, Column(key="mib")]
    reason: str
    kind: ReservationKind = ReservationKind.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU as CUDA sees it; ``free`` is what llama.cpp could allocate before a model is loaded.

    ``total`` and ``free`` are bytes, ``bandwidth`` and ``link_bandwidth`` (host to GPU) bytes per second,
    ``fp16_flops`` and ``int8_ops`` dense tensor operations per second, ``power_limit`` watts.
    ``pcie_generation`` and ``pcie_width`` are the current link, which an idle GPU trains down; the ``_max`` ones what
    GPU and slot can do. ``compute_capability`` is CUDA's, as "8.9". ``is_unified`` says that the memory is the RAM.
    ``backend`` is llama.cpp's back end for it, as "cuda"; empty where the name says it.
    ``beside`` and ``compute_factor`` come from runs, which ``learned`` counts: bytes in use beside a model's buffers
    (driver, CUDA context, pools, screen), and how many times its predicted compute buffer it took.
    None means unknown.
    """

    name: str
    description: str = ""
    total: Mib
    free: Annotated[Mib, Column(default=_room)]
    backend: Annotated[str, Column(pattern="[a-z]+", example="cuda")] = ""
    compute_capability: ComputeCapability = ""
    uuid: str = ""
    pci: Annotated[str, Column(pattern=_PCI, example="0000:0a:00.0")] = ""
    bandwidth: Gbs | None = None
    bandwidth_basis: BandwidthBasis = Basis.SPEC
    fp16_flops: Annotated[Tera | None, Column(key="fp16_tflops")] = None
    int8_ops: Annotated[Tera | None, Column(key="int8_tops")] = None
    pcie_generation: Count | None = None
    pcie_width: Count | None = None
    pcie_generation_max: Count | None = None
    pcie_width_max: Count | None = None
    link_bandwidth: Annotated[Gbs | None, Column(key="link_gbs")] = None
    power_limit: Annotated[Amount | None, Column(key="power_limit_w")] = None
    numa_node: Count | None = None
    is_display: Annotated[bool, Column(key="display")] = False
    is_unified: Annotated[bool, Column(key="unified")] = False
    beside: Mib | None = None
    compute_factor: Amount | None = None
    learned: str = ""
    reserved: tuple[Reservation, ...] = ()

    def faults(self) -> Iterator[tuple[str, str]]:
        """What contradicts itself: the key of a machine file, and what is wrong with it."""
        room = self.total - sum(item.size for item in self.reserved)
        if room < 0:
            yield "reserved", "adds up to more than total_mib"
        if self.free > room:
            yield "free_mib", "is more than total_mib less the reserved rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class NumaNode:
    """One NUMA node: its memory in bytes, its cores and hardware threads, and its distance to each node.

    ``distances`` are the firmware's (10 is local), in the order of the machine's nodes; ``bandwidth`` is bytes per
    second from the node's own cores. ``cpus`` is a list such as "0-7,16-23"; empty when the
    node is memory only or the source did not list them.
    """

    index: Count
    total: Mib
    n_cores: Count = 0
    n_threads: Annotated[Count, Column(default=_named)] = 0
    cpus: Cpuset = ""
    package: Count | None = None
    distances: tuple[Count, ...] = ()
    bandwidth: Gbs | None = None

    def faults(self) -> Iterator[tuple[str, str]]:
        """What contradicts itself: the key of a machine file, and what is wrong with it."""
        if self.n_threads and self.n_threads < self.n_cores:
            yield "n_threads", "is less than n_cores"
        if self.cpus and self.n_threads != len(parse_cpus(self.cpus)):
            yield "n_threads", f"is {self.n_threads}, but cpus names {len(parse_cpus(self.cpus))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """RAM in bytes: what the system sees, less what it and others keep.

    ``channels`` and ``speed_mts`` (million transfers per second) are of the whole machine, all sockets together.
    ``bandwidth`` is bytes per second that one process gets at: of several sockets, that of one.
    ``bandwidth_basis`` is what that rests on, ``measured`` the date of a measurement.
    """

    total: Mib
    reserved: tuple[Reservation, ...] = ()
    channels: Count | None = None
    speed_mts: Count | None = None
    bandwidth: Gbs | None = None
    bandwidth_basis: BandwidthBasis = Basis.SPEC
    measured: Annotated[str, Column(pattern=r"\d{4}-\d{2}-\d{2}", example="2026-01-30")] = ""
    swap: Mib | None = None
    huge_pages: Mib | None = None

    def faults(self) -> Iterator[tuple[str, str]]:
        """What contradicts itself: the key of a machine file, and what is wrong with it."""
        if sum(item.size for item in self.reserved) > self.total:
            yield "reserved", "adds up to more than total_mib"

    @property
    def available(self) -> int:
        """Bytes a server may use; swap is not RAM and does not count."""
        return max(0, self.total - sum(item.size for item in self.reserved))

    @property
    def nominal_bandwidth(self) -> float | None:
        """Channels times speed times 8 bytes, in bytes per second; None when either is unknown."""
        if not self.channels or not self.speed_mts:
            return None
        return self.channels * self.speed_mts * 8e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """The processor: model, physical cores, hardware threads, caches and instruction sets, all sockets together.

    ``n_performance_cores`` and ``n_efficiency_cores`` are set on hybrid CPUs only. ``n_l3`` counts groups of cores
    that share one L3 cache, ``l3`` their bytes in total. ``allowed`` is the cpuset this process may use and ``quota``
    its share of CPU time in whole CPUs, both only inside a limit; empty or None means all.
    """

    model: str = ""
    n_cores: Count = 0
    n_threads: Count = 0
    n_sockets: Count = 1
    n_performance_cores: Count = 0
    n_efficiency_cores: Count = 0
    n_l3: Count | None = None
    l3: Mib | None = None
    allowed: Cpuset = ""
    allowed_cores: Count | None = None
    quota: Annotated[Positive | None, Column(expected="more than 0 CPUs (leave it out where there is no limit)")] = None
    features: tuple[str, ...] = ()

    def faults(self) -> Iterator[tuple[str, str]]:
        """What contradicts itself: the key of a machine file, and what is wrong with it."""
        if self.n_threads and self.n_threads < self.n_cores:
            yield "n_threads", "is less than n_cores"
        hybrid = self.n_performance_cores + self.n_efficiency_cores
        if hybrid and self.n_cores and hybrid != self.n_cores:
            yield "n_performance_cores", f"and n_efficiency_cores make {hybrid}, n_cores is {self.n_cores}"
        if self.n_threads and len(parse_cpus(self.allowed)) > self.n_threads:
            yield "allowed", f"names more CPUs than n_threads ({self.n_threads})"
        if self.allowed_cores is not None and not 0 < self.allowed_cores <= max(self.n_cores, 1):
            yield "allowed_cores", f"expected 1 to n_cores ({self.n_cores}), got {self.allowed_cores}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedConstant:
    """One constant of the time model as runs on the machine have it."""

    name: str
    value: Positive


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Everything a plan needs to know of a machine; GPUs in CUDA's order.

    ``constants`` stand in for the shipped ones of the time model; ``learned`` says which runs they come from.
    """

    is_sparse: ClassVar = True

    name: str
    description: str = ""
    gpus: tuple[Gpu, ...] = ()
    memory: Memory | None = None
    numa_nodes: tuple[NumaNode, ...] = ()
    nps: Count | None = None
    cpu: Cpu | None = None
    notes: tuple[str, ...] = ()
    source: str = ""
    constants: tuple[LearnedConstant, ...] = ()
    learned: str = ""

    @classmethod
    def from_dict(cls, raw: Mapping[str, object]) -> Machine:
        """A machine from plain data, as in a machine file; a name and GPUs are enough. Raises InputError."""
        return read(cls, raw)

    def to_dict(self) -> dict[str, object]:
        """Plain data that ``from_dict`` reads back to an equal machine; unknown fields are left out."""
        return dict(plain(self, sparse=True))

    def gpu(self, name: str) -> Gpu:
        """The GPU called ``name``; raises KeyError."""
        for gpu in self.gpus:
            if gpu.name == name:
                return gpu
        raise KeyError(name)

    def free_mib(self, name: str) -> int:
        """Free MiB of the GPU called ``name``, rounded down."""
        return self.gpu(name).free // MIB

    def faults(self) -> Iterator[tuple[str, str]]:
        """What contradicts itself: the key of a machine file, and what is wrong with it."""
        yield from self._faults_of_gpus()
        taken: frozenset[int] = frozenset()
        for position, node in enumerate(self.numa_nodes):
            key = f"numa_nodes[{position}]"
            if node.index in {other.index for other in self.numa_nodes[:position]}:
                yield f"{key}.index", f"{node.index} appears twice"
            cpus = parse_cpus(node.cpus)
            if shared := cpus & taken:
                yield f"{key}.cpus", f"{format_cpus(shared)} belong to an earlier node"
            taken |= cpus
            if node.distances and len(node.distances) != len(self.numa_nodes):
                wanted, found = len(self.numa_nodes), len(node.distances)
                yield f"{key}.distances", f"expected one per node ({wanted}), got {found}"

    def _faults_of_gpus(self) -> Iterator[tuple[str, str]]:
        for what in ("name", "uuid", "pci"):
            seen: dict[str, int] = {}
            for index, gpu in enumerate(self.gpus):
                value = str(getattr(gpu, what)).lower()
                if value and value in seen:
                    yield f"gpus[{index}].{what}", f"{getattr(gpu, what)!r} is already gpus[{seen[value]}]"
                seen[value] = index
        indices = {node.index for node in self.numa_nodes}
        for index, gpu in enumerate(self.gpus):
            if indices and gpu.numa_node is not None and gpu.numa_node not in indices:
                yield f"gpus[{index}].numa_node", f"{gpu.numa_node} is not the index of a NUMA node"

    @property
    def nodes_per_socket(self) -> int | None:
        """``nps`` as stated, else counted from the nodes that have CPUs; None when neither is known."""
        if self.nps is not None:
            return self.nps
        sockets = self.cpu.n_sockets if self.cpu else 1
        with_cores = sum(1 for node in self.numa_nodes if node.n_cores or node.cpus)
        return with_cores // sockets if with_cores and with_cores % sockets == 0 else None

"""A machine: GPUs, RAM, NUMA nodes and CPU, each with what it holds, what is reserved and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from omniplan.units import MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Bytes that something other than the model keeps, and why.

    ``kind`` is "cuda_context", "driver", "display", "process", "system" or "cgroup" where it is one of these.
    """

    size: int
    reason: str
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU as CUDA sees it; ``free`` is what llama.cpp could allocate before a model is loaded.

    ``total`` and ``free`` are bytes, ``bandwidth`` and ``link_bandwidth`` (host to GPU) bytes per second,
    ``fp16_flops`` and ``int8_ops`` dense tensor operations per second, ``power_limit`` watts.
    ``pcie_generation`` and ``pcie_width`` are the current link, which an idle GPU trains down; the ``_max`` ones what
    GPU and slot can do. ``compute_capability`` is CUDA's, as "8.9". ``is_unified`` says that the memory is the RAM.
    ``beside`` and ``compute_factor`` come from runs, which ``learned`` counts: bytes in use beside a model's buffers
    (driver, CUDA context, pools, screen), and how many times its predicted compute buffer it took.
    None means unknown.
    """

    name: str
    description: str
    total: int
    free: int
    compute_capability: str = ""
    uuid: str = ""
    pci: str = ""
    bandwidth: float | None = None
    bandwidth_basis: str = "spec"
    fp16_flops: float | None = None
    int8_ops: float | None = None
    pcie_generation: int | None = None
    pcie_width: int | None = None
    pcie_generation_max: int | None = None
    pcie_width_max: int | None = None
    link_bandwidth: float | None = None
    power_limit: float | None = None
    numa_node: int | None = None
    is_display: bool = False
    is_unified: bool = False
    beside: int | None = None
    compute_factor: float | None = None
    learned: str = ""
    reserved: tuple[Reservation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NumaNode:
    """One NUMA node: its memory in bytes, its cores and hardware threads, and its distance to each node.

    ``distances`` are the firmware's (10 is local), in the order of the machine's nodes; ``bandwidth`` is bytes per
    second from the node's own cores. ``cpus`` is a list such as "0-7,16-23"; empty when the
    node is memory only or the source did not list them.
    """

    index: int
    total: int
    n_cores: int = 0
    n_threads: int = 0
    cpus: str = ""
    package: int | None = None
    distances: tuple[int, ...] = ()
    bandwidth: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """RAM in bytes: what the system sees, less what it and others keep.

    ``channels`` and ``speed_mts`` (million transfers per second) are of the whole machine, all sockets together.
    ``bandwidth`` is bytes per second that one process gets at: of several sockets, that of one.
    ``bandwidth_basis`` is "measured", "spec", "modelled" or "assumed"; ``measured`` the date of a measurement.
    """

    total: int
    reserved: tuple[Reservation, ...] = ()
    channels: int | None = None
    speed_mts: int | None = None
    bandwidth: float | None = None
    bandwidth_basis: str = "spec"
    measured: str = ""
    swap: int | None = None
    huge_pages: int | None = None

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
    n_cores: int = 0
    n_threads: int = 0
    n_sockets: int = 1
    n_performance_cores: int = 0
    n_efficiency_cores: int = 0
    n_l3: int | None = None
    l3: int | None = None
    allowed: str = ""
    allowed_cores: int | None = None
    quota: float | None = None
    features: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedConstant:
    """One constant of the time model as runs on the machine have it."""

    name: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Everything a plan needs to know of a machine; GPUs in CUDA's order.

    ``constants`` stand in for the shipped ones of the time model; ``learned`` says which runs they come from.
    """

    name: str
    description: str = ""
    gpus: tuple[Gpu, ...] = ()
    memory: Memory | None = None
    numa_nodes: tuple[NumaNode, ...] = ()
    nps: int | None = None
    cpu: Cpu | None = None
    notes: tuple[str, ...] = ()
    source: str = ""
    constants: tuple[LearnedConstant, ...] = ()
    learned: str = ""

    @classmethod
    def from_dict(cls, raw: Mapping[str, object]) -> Machine:
        """A machine from plain data, as in a machine file; a name and GPUs are enough. Raises InputError."""
        from omniplan.machines.reading import read

        return read(raw)

    def to_dict(self) -> dict[str, object]:
        """Plain data that ``from_dict`` reads back to an equal machine; unknown fields are left out."""
        from omniplan.machines.writing import write

        return write(self)

    def gpu(self, name: str) -> Gpu:
        """The GPU called ``name``; raises KeyError."""
        for gpu in self.gpus:
            if gpu.name == name:
                return gpu
        raise KeyError(name)

    def free_mib(self, name: str) -> int:
        """Free MiB of the GPU called ``name``, rounded down."""
        return self.gpu(name).free // MIB

    @property
    def nodes_per_socket(self) -> int | None:
        """``nps`` as stated, else counted from the nodes that have CPUs; None when neither is known."""
        if self.nps is not None:
            return self.nps
        sockets = self.cpu.n_sockets if self.cpu else 1
        with_cores = sum(1 for node in self.numa_nodes if node.n_cores or node.cpus)
        return with_cores // sockets if with_cores and with_cores % sockets == 0 else None

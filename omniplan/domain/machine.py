"""A machine: GPUs, RAM, NUMA nodes and CPU, each with what it holds, what is reserved and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final

from omniplan.documents.column import Amount, Column, Count, Gbs, Mib, Tera
from omniplan.documents.record import Record, plain, read
from omniplan.domain.cpuset import format_cpus, parse_cpus
from omniplan.domain.evidence import Basis, LearnedConstant
from omniplan.domain.processor import Cpu, NumaNode
from omniplan.errors import InputError

_PCI: Final = r"([0-9a-fA-F]{4,8}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]"
# ggml-rpc.cpp:parse_endpoint ends the host at the first colon, so an IPv6 address is none.
Endpoint = Annotated[str, Column(pattern=r"[A-Za-z0-9._-]+:\d{1,5}", example="10.0.0.2:50052")]


def _room(values: Mapping[str, Any]) -> int:
    """Bytes that nothing has reserved."""
    return int(values["total"] - sum(item.size for item in values["reserved"]))


ComputeCapability = Annotated[str, Column(pattern=r"\d{1,2}\.\d|gfx[0-9a-f]{3,4}", example="8.9")]
# How a bandwidth of a machine may be known: no header tells it, and no other machine.
_BASES: Final = tuple(basis for basis in Basis if basis not in (Basis.HEADER, Basis.ELSEWHERE))
BandwidthBasis = Annotated[Basis, Column(choices=_BASES)]


class ReservationKind(StrEnum):
    """Who keeps memory from a model, where that is known."""

    UNKNOWN = ""
    CUDA_CONTEXT = "cuda_context"
    DRIVER = "driver"
    DISPLAY = "display"
    PROCESS = "process"
    SYSTEM = "system"
    CGROUP = "cgroup"
    WDDM = "wddm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Bytes that something other than the model keeps, and why."""

    size: Annotated[Mib, Column(key="mib")]
    reason: str
    kind: ReservationKind = ReservationKind.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu(Record):
    """One GPU as CUDA sees it; ``free`` is what llama.cpp could allocate before a model is loaded.

    ``total`` and ``free`` are bytes, ``bandwidth`` and ``link_bandwidth`` (host to GPU) bytes per second,
    ``fp16_flops`` and ``int8_ops`` dense tensor operations per second, ``power_limit`` watts.
    ``pcie_generation`` and ``pcie_width`` are the current link, which an idle GPU trains down; the ``_max`` ones what
    GPU and slot can do. ``compute_capability`` is CUDA's, as "8.9", or AMD's target, as "gfx1151".
    ``is_unified`` says that the memory is the RAM. Then the system may set limits, each from ``limit_source``: ``gtt``
    is the most that amdgpu maps of RAM, ``working_set`` what Metal recommends at most, ``carve_out`` what the firmware
    keeps from the system for the GPU, no part of RAM.
    ``backend`` is llama.cpp's back end for it, as "cuda"; empty where the name says it.
    ``beside`` and ``compute_factor`` come from runs, which ``learned`` counts: bytes in use beside a model's buffers
    (driver, CUDA context, pools, screen), and how many times its predicted compute buffer it took.
    ``endpoint`` is the address of the rpc-server that offers it as number ``endpoint_index``, where its name is
    ``endpoint_device``; empty for a GPU of this machine.
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
    gtt: Mib | None = None
    working_set: Mib | None = None
    carve_out: Mib | None = None
    limit_source: str = ""
    beside: Mib | None = None
    compute_factor: Amount | None = None
    learned: str = ""
    endpoint: Endpoint = ""
    endpoint_index: Count = 0
    endpoint_device: str = ""
    reserved: tuple[Reservation, ...] = ()

    def faults(self) -> Iterator[tuple[str, str]]:
        """What contradicts itself: the key of a machine file, and what is wrong with it."""
        room = self.total - sum(item.size for item in self.reserved)
        if room < 0:
            yield "reserved", "adds up to more than total_mib"
        if self.free > room:
            yield "free_mib", "is more than total_mib less the reserved rows"
        limits = {"gtt_mib": self.gtt, "working_set_mib": self.working_set, "carve_out_mib": self.carve_out}
        given = [key for key, limit in limits.items() if limit is not None]
        if given and not self.is_unified:
            yield given[0], "limits a share of RAM; say unified = true"
        if given and not self.limit_source:
            yield "limit_source", f"is missing: where {' and '.join(given)} come from"

    @property
    def buffer_type(self) -> str:
        """What llama.cpp calls its memory: its name, or place and address (ggml_backend_rpc_buffer_type)."""
        return f"RPC{self.endpoint_index}[{self.endpoint}]" if self.endpoint else self.name

    @property
    def draws_on_ram(self) -> bool:
        """Whether what lies on the GPU is taken from RAM.

        A carve-out that is no smaller than what amdgpu may map of RAM is used alone, a smaller one not at all (Linux
        drivers/gpu/drm/amd/amdkfd: VRAM allocations of small APUs go to GTT).
        """
        return self.is_unified and (self.carve_out is None or self.carve_out < (self.gtt or 0))

    @property
    def room(self) -> int:
        """Bytes that a model may take of the GPU: what is free, within the limit that the system sets.

        RAM is not asked: several devices may draw on it.
        """
        limit = self.carve_out if self.is_unified and not self.draws_on_ram else self.gtt
        return min(size for size in (self.free, limit, self.working_set) if size is not None)


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


def _unnamed(text: str) -> object:
    raise InputError(f"{text[:40]!r} is a name, which is looked up in a machine file alone; describe the machine")


@dataclass(frozen=True, slots=True, kw_only=True)
class Host(Record):
    """Another machine, whose GPUs llama.cpp's rpc-server offers at ``address``; its CPU where it has none.

    ``link_bandwidth`` is bytes per second between here and there, ``latency_us`` microseconds to an answer and back;
    None means unknown. ``machine`` may be the name of a profile or a file in a machine file.
    """

    address: Endpoint
    machine: Annotated[Machine, Column(parse=_unnamed)]
    link_bandwidth: Annotated[Gbs | None, Column(key="link_gbs")] = None
    latency_us: Amount | None = None

    def faults(self) -> Iterator[tuple[str, str]]:
        """What contradicts itself: the key of a machine file, and what is wrong with it."""
        if self.machine.hosts:
            yield "machine.hosts", "a host has none of its own: llama.cpp knows only those of the main machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine(Record):
    """Everything a plan needs to know of a machine; GPUs in CUDA's order.

    ``hosts`` are other machines that can take a part of a model over the network, in the order to ask them.
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
    hosts: tuple[Host, ...] = ()
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

    @property
    def ram(self) -> int | None:
        """Bytes of RAM that processes may use, those on GPUs that draw on it included; None when unknown.

        Where only such a GPU is described, what is free for it is what there is.
        """
        if self.memory is not None:
            return self.memory.available
        return max((gpu.free for gpu in self.gpus if gpu.draws_on_ram), default=None)

    @property
    def everything(self) -> int | None:
        """Bytes of all pools, each counted once; None when RAM is unknown."""
        return None if self.ram is None else self.ram + sum(gpu.room for gpu in self.gpus if not gpu.draws_on_ram)

    def faults(self) -> Iterator[tuple[str, str]]:
        """What contradicts itself: the key of a machine file, and what is wrong with it."""
        yield from self._faults_of_gpus()
        addresses = [host.address for host in self.hosts]
        for index, address in enumerate(addresses):
            if address in addresses[:index]:
                yield f"hosts[{index}].address", f"{address} is already hosts[{addresses.index(address)}]"
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

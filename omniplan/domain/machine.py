"""A machine: GPUs, RAM, NUMA nodes and CPU, each with what it holds, what is reserved and why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from omniplan.domain.fields import Fields
from omniplan.units import MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Bytes that something other than the model keeps, and why; ``kind`` is "cuda_context" where it is one."""

    size: int
    reason: str
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU as CUDA sees it; ``free`` is what llama.cpp could allocate before a model is loaded.

    ``total`` and ``free`` are bytes; ``bandwidth`` bytes per second; ``pcie_generation`` and ``pcie_width`` the
    current link. ``compute_capability`` is CUDA's, as "8.9". None means unknown.
    """

    name: str
    description: str
    total: int
    free: int
    compute_capability: str = ""
    uuid: str = ""
    pci: str = ""
    bandwidth: float | None = None
    pcie_generation: int | None = None
    pcie_width: int | None = None
    is_display: bool = False
    reserved: tuple[Reservation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NumaNode:
    """One NUMA node: its memory in bytes and its CPU cores."""

    index: int
    total: int
    n_cores: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """RAM in bytes: installed and visible, less what the system and others keep; bandwidth in bytes per second."""

    total: int
    reserved: tuple[Reservation, ...] = ()
    channels: int | None = None
    speed_mts: int | None = None
    bandwidth: float | None = None
    bandwidth_basis: str = "spec"

    @property
    def available(self) -> int:
        """Bytes a server may use."""
        return max(0, self.total - sum(item.size for item in self.reserved))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """The processor: model, physical cores, hardware threads and instruction sets."""

    model: str = ""
    n_cores: int = 0
    n_threads: int = 0
    n_sockets: int = 1
    features: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Everything a plan needs to know of a machine; GPUs in CUDA's order."""

    name: str
    description: str = ""
    gpus: tuple[Gpu, ...] = ()
    memory: Memory | None = None
    numa_nodes: tuple[NumaNode, ...] = ()
    nps: int | None = None
    cpu: Cpu | None = None
    notes: tuple[str, ...] = ()
    source: str = ""

    @classmethod
    def from_dict(cls, raw: Mapping[str, object]) -> Machine:
        """A machine from plain data, as in a machine file; a name and GPUs are enough. Raises InputError."""
        fields = Fields.of(raw, "")
        machine = cls(
            name=fields.text("name"),
            description=fields.text("description", ""),
            gpus=tuple(_gpu(item) for item in fields.tables("gpus")),
            memory=_memory(fields.table("memory")),
            numa_nodes=tuple(_node(item) for item in fields.tables("numa_nodes")),
            nps=fields.count("nps"),
            cpu=_cpu(fields.table("cpu")),
            notes=fields.texts("notes"),
            source=fields.text("source", ""),
        )
        fields.done()
        _check_unique(fields, machine)
        return machine

    def gpu(self, name: str) -> Gpu:
        """The GPU called ``name``; raises KeyError."""
        return next(gpu for gpu in self.gpus if gpu.name == name)

    def free_mib(self, name: str) -> int:
        """Free MiB of the GPU called ``name``, rounded down."""
        return self.gpu(name).free // MIB


_COMPUTE_CAPABILITY = re.compile(r"\d{1,2}\.\d")


def _gpu(fields: Fields) -> Gpu:
    total = fields.required_mib("total_mib")
    reserved = _reservations(fields)
    free = fields.mib("free_mib")
    gpu = Gpu(
        name=fields.text("name"),
        description=fields.text("description", ""),
        total=total,
        free=max(0, total - sum(item.size for item in reserved)) if free is None else free,
        compute_capability=fields.text("compute_capability", ""),
        uuid=fields.text("uuid", ""),
        pci=fields.text("pci", ""),
        bandwidth=_per_second(fields, "bandwidth_gbs"),
        pcie_generation=fields.count("pcie_generation"),
        pcie_width=fields.count("pcie_width"),
        is_display=fields.flag("display"),
        reserved=reserved,
    )
    fields.done()
    if gpu.free > gpu.total:
        raise fields.error("free_mib", "is more than total_mib")
    if gpu.compute_capability and not _COMPUTE_CAPABILITY.fullmatch(gpu.compute_capability):
        raise fields.error("compute_capability", f'expected a form like "8.9", got {gpu.compute_capability!r}')
    return gpu


def _reservations(fields: Fields) -> tuple[Reservation, ...]:
    found = []
    for item in fields.tables("reserved"):
        found.append(Reservation(size=item.required_mib("mib"), reason=item.text("reason"), kind=item.text("kind", "")))
        item.done()
    return tuple(found)


def _per_second(fields: Fields, key: str) -> float | None:
    value = fields.number(key)
    return None if value is None else value * 1e9


def _memory(fields: Fields | None) -> Memory | None:
    if fields is None:
        return None
    memory = Memory(
        total=fields.required_mib("total_mib"),
        reserved=_reservations(fields),
        channels=fields.count("channels"),
        speed_mts=fields.count("speed_mts"),
        bandwidth=_per_second(fields, "bandwidth_gbs"),
        bandwidth_basis=fields.text("bandwidth_basis", "spec"),
    )
    fields.done()
    return memory


def _node(fields: Fields) -> NumaNode:
    index = fields.count("index")
    node = NumaNode(index=index or 0, total=fields.required_mib("total_mib"), n_cores=fields.count("n_cores") or 0)
    fields.done()
    return node


def _cpu(fields: Fields | None) -> Cpu | None:
    if fields is None:
        return None
    cpu = Cpu(
        model=fields.text("model", ""),
        n_cores=fields.count("n_cores") or 0,
        n_threads=fields.count("n_threads") or 0,
        n_sockets=fields.count("n_sockets") or 1,
        features=fields.texts("features"),
    )
    fields.done()
    if cpu.n_threads and cpu.n_threads < cpu.n_cores:
        raise fields.error("n_threads", "is less than n_cores")
    return cpu


def _check_unique(fields: Fields, machine: Machine) -> None:
    for what in ("name", "uuid"):
        seen: dict[str, int] = {}
        for index, gpu in enumerate(machine.gpus):
            value = getattr(gpu, what)
            if value and value in seen:
                raise fields.error(f"gpus[{index}].{what}", f"{value!r} is already gpus[{seen[value]}]")
            seen[value] = index

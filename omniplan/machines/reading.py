"""The fields of a machine file: plain data to a Machine, sizes in MiB and rates in GB/s as people write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from omniplan.documents.fields import Fields
from omniplan.domain.cpuset import format_cpus, parse_cpus
from omniplan.domain.machine import Cpu, Gpu, LearnedConstant, Machine, Memory, NumaNode, Reservation
from omniplan.errors import InputError

BASES: Final = ("measured", "spec", "modelled", "assumed")


def read(raw: Mapping[str, object]) -> Machine:
    """A machine from plain data; raises InputError with the path of the first wrong field."""
    fields = Fields.of(raw, "")
    machine = Machine(
        name=fields.text("name"),
        description=fields.text("description", ""),
        gpus=tuple(_gpu(item) for item in fields.tables("gpus")),
        memory=_memory(fields.table("memory")),
        numa_nodes=tuple(_node(item) for item in fields.tables("numa_nodes")),
        nps=fields.count("nps"),
        cpu=_cpu(fields.table("cpu")),
        notes=fields.texts("notes"),
        source=fields.text("source", ""),
        constants=tuple(_constant(item) for item in fields.tables("constants")),
        learned=fields.text("learned", ""),
    )
    fields.done()
    _check_gpus(fields, machine)
    _check_nodes(fields, machine)
    return machine


def _gpu(fields: Fields) -> Gpu:
    total = fields.required_mib("total_mib")
    reserved = _reservations(fields)
    room = total - sum(item.size for item in reserved)
    free = fields.mib("free_mib")
    gpu = Gpu(
        name=fields.text("name"),
        description=fields.text("description", ""),
        total=total,
        free=room if free is None else free,
        compute_capability=fields.matching("compute_capability", r"\d{1,2}\.\d", "8.9"),
        uuid=fields.text("uuid", ""),
        pci=fields.matching("pci", r"([0-9a-fA-F]{4,8}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]", "0000:0a:00.0"),
        bandwidth=fields.scaled("bandwidth_gbs", 1e9),
        bandwidth_basis=fields.choice("bandwidth_basis", BASES, "spec"),
        fp16_flops=fields.scaled("fp16_tflops", 1e12),
        int8_ops=fields.scaled("int8_tops", 1e12),
        pcie_generation=fields.count("pcie_generation"),
        pcie_width=fields.count("pcie_width"),
        pcie_generation_max=fields.count("pcie_generation_max"),
        pcie_width_max=fields.count("pcie_width_max"),
        link_bandwidth=fields.scaled("link_gbs", 1e9),
        power_limit=fields.number("power_limit_w"),
        numa_node=fields.count("numa_node"),
        is_display=fields.flag("display"),
        is_unified=fields.flag("unified"),
        beside=fields.mib("beside_mib"),
        compute_factor=fields.number("compute_factor"),
        learned=fields.text("learned", ""),
        reserved=reserved,
    )
    fields.done()
    if room < 0:
        raise fields.error("reserved", "adds up to more than total_mib")
    if gpu.free > room:
        raise fields.error("free_mib", "is more than total_mib less the reserved rows")
    return gpu


def _constant(fields: Fields) -> LearnedConstant:
    constant = LearnedConstant(name=fields.text("name"), value=fields.number("value") or 0.0)
    fields.done()
    if not constant.value:
        raise fields.error("value", "expected a number above 0")
    return constant


def _reservations(fields: Fields) -> tuple[Reservation, ...]:
    found = []
    for item in fields.tables("reserved"):
        found.append(Reservation(size=item.required_mib("mib"), reason=item.text("reason"), kind=item.text("kind", "")))
        item.done()
    return tuple(found)


def _memory(fields: Fields | None) -> Memory | None:
    if fields is None:
        return None
    memory = Memory(
        total=fields.required_mib("total_mib"),
        reserved=_reservations(fields),
        channels=fields.count("channels"),
        speed_mts=fields.count("speed_mts"),
        bandwidth=fields.scaled("bandwidth_gbs", 1e9),
        bandwidth_basis=fields.choice("bandwidth_basis", BASES, "spec"),
        measured=fields.matching("measured", r"\d{4}-\d{2}-\d{2}", "2026-01-30"),
        swap=fields.mib("swap_mib"),
        huge_pages=fields.mib("huge_pages_mib"),
    )
    fields.done()
    if sum(item.size for item in memory.reserved) > memory.total:
        raise fields.error("reserved", "adds up to more than total_mib")
    return memory


def _node(fields: Fields) -> NumaNode:
    cpus = _cpus(fields, "cpus")
    node = NumaNode(
        index=fields.required_count("index"),
        total=fields.required_mib("total_mib"),
        n_cores=fields.count("n_cores") or 0,
        n_threads=fields.count("n_threads") or len(parse_cpus(cpus)),
        cpus=cpus,
        package=fields.count("package"),
        distances=fields.counts("distances"),
        bandwidth=fields.scaled("bandwidth_gbs", 1e9),
    )
    fields.done()
    if node.n_threads and node.n_threads < node.n_cores:
        raise fields.error("n_threads", "is less than n_cores")
    if cpus and node.n_threads != len(parse_cpus(cpus)):
        raise fields.error("n_threads", f"is {node.n_threads}, but cpus names {len(parse_cpus(cpus))}")
    return node


def _cpus(fields: Fields, key: str) -> str:
    """A cpuset in normal form; one that is present but names no CPU is an error."""
    if key not in fields.raw:
        return fields.text(key, "")
    try:
        found = parse_cpus(fields.text(key))
    except InputError as error:
        raise fields.error(key, str(error).removeprefix(f"{key}: ")) from error
    if not found:
        raise fields.error(key, "names no CPU; leave it out where it is unknown")
    return format_cpus(found)


def _cpu(fields: Fields | None) -> Cpu | None:
    if fields is None:
        return None
    cpu = Cpu(
        model=fields.text("model", ""),
        n_cores=fields.count("n_cores") or 0,
        n_threads=fields.count("n_threads") or 0,
        n_sockets=fields.count("n_sockets") or 1,
        n_performance_cores=fields.count("n_performance_cores") or 0,
        n_efficiency_cores=fields.count("n_efficiency_cores") or 0,
        n_l3=fields.count("n_l3"),
        l3=fields.mib("l3_mib"),
        allowed=_cpus(fields, "allowed"),
        allowed_cores=fields.count("allowed_cores"),
        quota=fields.number("quota"),
        features=fields.texts("features"),
    )
    fields.done()
    _check_cpu(fields, cpu)
    return cpu


def _check_cpu(fields: Fields, cpu: Cpu) -> None:
    if cpu.n_threads and cpu.n_threads < cpu.n_cores:
        raise fields.error("n_threads", "is less than n_cores")
    hybrid = cpu.n_performance_cores + cpu.n_efficiency_cores
    if hybrid and cpu.n_cores and hybrid != cpu.n_cores:
        raise fields.error("n_performance_cores", f"and n_efficiency_cores make {hybrid}, n_cores is {cpu.n_cores}")
    if cpu.n_threads and len(parse_cpus(cpu.allowed)) > cpu.n_threads:
        raise fields.error("allowed", f"names more CPUs than n_threads ({cpu.n_threads})")
    if cpu.allowed_cores is not None and not 0 < cpu.allowed_cores <= max(cpu.n_cores, 1):
        raise fields.error("allowed_cores", f"expected 1 to n_cores ({cpu.n_cores}), got {cpu.allowed_cores}")
    if cpu.quota == 0:
        raise fields.error("quota", "expected more than 0 CPUs; leave it out where there is no limit")


def _check_gpus(fields: Fields, machine: Machine) -> None:
    for what in ("name", "uuid", "pci"):
        seen: dict[str, int] = {}
        for index, gpu in enumerate(machine.gpus):
            value = str(getattr(gpu, what)).lower()
            if value and value in seen:
                raise fields.error(f"gpus[{index}].{what}", f"{getattr(gpu, what)!r} is already gpus[{seen[value]}]")
            seen[value] = index
    indices = {node.index for node in machine.numa_nodes}
    for index, gpu in enumerate(machine.gpus):
        if indices and gpu.numa_node is not None and gpu.numa_node not in indices:
            raise fields.error(f"gpus[{index}].numa_node", f"{gpu.numa_node} is not the index of a NUMA node")


def _check_nodes(fields: Fields, machine: Machine) -> None:
    indices: set[int] = set()
    taken: frozenset[int] = frozenset()
    for position, node in enumerate(machine.numa_nodes):
        if node.index in indices:
            raise fields.error(f"numa_nodes[{position}].index", f"{node.index} appears twice")
        indices.add(node.index)
        cpus = parse_cpus(node.cpus)
        if shared := cpus & taken:
            raise fields.error(f"numa_nodes[{position}].cpus", f"{format_cpus(shared)} belong to an earlier node")
        taken |= cpus
        if node.distances and len(node.distances) != len(machine.numa_nodes):
            known = f"expected one per node ({len(machine.numa_nodes)}), got {len(node.distances)}"
            raise fields.error(f"numa_nodes[{position}].distances", known)

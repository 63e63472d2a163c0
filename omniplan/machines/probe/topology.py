"""How a machine is built: packages, NUMA nodes, L3 groups, cores and hardware threads, whoever read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from omniplan.domain.cpuset import format_cpus
from omniplan.domain.processor import Cpu, NumaNode
from omniplan.units import MIB

Cpus = frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopologyNode:
    """One NUMA node: the kernel's index, bytes of memory, the hardware threads nearest to it."""

    index: int
    total: int
    cpus: Cpus = frozenset()
    distances: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """Sets of hardware threads (PUs) by what they share.

    ``l3`` maps each group that shares an L3 cache to its bytes; ``efficient`` are the PUs of efficiency cores on a
    hybrid CPU; ``pci`` is the NUMA node of each display or 3D controller by lower-case PCI id, None where the firmware
    does not say. ``model`` is the CPU's brand where the reader knows it.
    """

    packages: tuple[Cpus, ...] = ()
    nodes: tuple[TopologyNode, ...] = ()
    l3: Mapping[Cpus, int] = field(default_factory=dict)
    cores: tuple[Cpus, ...] = ()
    efficient: Cpus = frozenset()
    pci: Mapping[str, int | None] = field(default_factory=dict)
    model: str = ""

    @property
    def cpus(self) -> Cpus:
        """Every hardware thread."""
        return frozenset().union(*self.cores)

    @property
    def nodes_per_socket(self) -> int | None:
        """NUMA nodes with CPUs per package, None where packages differ (or nothing is known)."""
        counts = {sum(1 for node in self.nodes if node.cpus & package) for package in self.packages}
        return counts.pop() or None if len(counts) == 1 else None

    def cores_in(self, cpus: Cpus) -> int:
        """Physical cores with at least one hardware thread in ``cpus``."""
        return sum(1 for core in self.cores if core & cpus)

    def numa_nodes(self) -> tuple[NumaNode, ...]:
        """The nodes as a machine carries them: by index, in whole MiB."""
        return tuple(self._numa_node(node) for node in sorted(self.nodes, key=lambda node: node.index))

    def _numa_node(self, node: TopologyNode) -> NumaNode:
        package = next((index for index, cpus in enumerate(self.packages) if cpus & node.cpus), None)
        return NumaNode(
            index=node.index,
            total=node.total // MIB * MIB,
            n_cores=self.cores_in(node.cpus),
            n_threads=len(node.cpus),
            cpus=format_cpus(node.cpus),
            package=package,
            distances=node.distances,
        )

    def cpu(self) -> Cpu:
        """The processor as a machine carries it; instruction sets are read elsewhere."""
        efficient = self.cores_in(self.efficient)
        return Cpu(
            model=self.model,
            n_cores=len(self.cores),
            n_threads=len(self.cpus),
            n_sockets=max(1, len(self.packages)),
            n_performance_cores=len(self.cores) - efficient if efficient else 0,
            n_efficiency_cores=efficient,
            n_l3=len(self.l3) or None,
            l3=sum(self.l3.values()) or None,
        )

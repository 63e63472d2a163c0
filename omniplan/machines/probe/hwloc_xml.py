"""hwloc's XML (``lstopo --of xml``, ``hwloc_topology_export_xmlbuffer``) as a Topology.

Format: https://www.open-mpi.org/projects/hwloc/doc/ (hwloc2.dtd); version 1 files differ only in what is nested where,
which reading by cpuset does not notice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from xml.etree import ElementTree as ET

from omniplan.errors import InputError
from omniplan.machines.probe.cpuinfo import tidy_brand
from omniplan.machines.probe.topology import Cpus, Topology, TopologyNode

# PCI base class 03 is a display controller: 0300 VGA, 0302 3D (PCI Code and ID Assignment Specification).
_DISPLAY = "03"


def parse_xml(text: str, *, where: str) -> ET.Element:
    """The root of an XML document; raises InputError for what is not XML or declares entities."""
    if "<!ENTITY" in text:
        raise InputError(f"{where}: declares XML entities, expected what lstopo or nvidia-smi writes")
    try:
        # Without declared entities nothing can grow; no external file is ever fetched by expat.
        return ET.fromstring(text)  # noqa: S314
    except (ET.ParseError, ValueError) as error:
        raise InputError(f"{where}: not XML: {error}") from error


def parse_topology(text: str, *, where: str = "topology XML") -> Topology:
    """The topology in an hwloc XML document; raises InputError with the object at fault."""
    root = parse_xml(text, where=where)
    if root.tag != "topology":
        raise InputError(f"{where}: expected <topology> from lstopo --of xml, got <{root.tag[:40]}>")
    reader = _Reader(where)
    for item, cpus in _objects(root, reader):
        reader.take(item, cpus)
    reader.distances(root)
    reader.kinds(root)
    return reader.topology()


def _objects(root: ET.Element, reader: _Reader) -> Iterator[tuple[ET.Element, Cpus]]:
    """Every object, with its cpuset or, for devices, that of the nearest object that has one."""
    stack: list[tuple[ET.Element, Cpus]] = [(item, frozenset()) for item in reversed(root.findall("object"))]
    while stack:
        item, inherited = stack.pop()
        mask = item.get("cpuset")
        cpus = inherited if mask is None else reader.mask(item, mask)
        yield item, cpus
        stack.extend((child, cpus) for child in reversed(item.findall("object")))


class _Reader:
    """Collects objects; ``topology`` gives the value."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.packages: list[Cpus] = []
        self.nodes: dict[int, TopologyNode] = {}
        self.l3: dict[Cpus, int] = {}
        self.cores: list[Cpus] = []
        self.units: list[Cpus] = []
        self.efficient: Cpus = frozenset()
        self.devices: dict[str, Cpus] = {}
        self.model = ""

    def _error(self, item: ET.Element, problem: str) -> InputError:
        name = f"{item.get('type', item.tag)}#{item.get('os_index', item.get('gp_index', '?'))}"
        return InputError(f"{self.where}: {name[:60]}: {problem}")

    def mask(self, item: ET.Element, text: str) -> Cpus:
        """CPU numbers of hwloc's mask, 32-bit words from the highest down; "0xf...f" endless masks are refused."""
        try:
            words = [int(word or "0", 16) for word in text.split(",")]
        except ValueError as error:
            raise self._error(item, f"cpuset {text[:40]!r} is not a mask") from error
        if len(words) > 256 or not all(0 <= word < 1 << 32 for word in words):
            raise self._error(item, f"cpuset {text[:40]!r} is not a mask")
        bits = sum(word << 32 * place for place, word in enumerate(reversed(words)))
        return frozenset(cpu for cpu in range(bits.bit_length()) if bits >> cpu & 1)

    def number(self, item: ET.Element, key: str, default: str | None = None) -> int:
        """A whole number >= 0 of an attribute."""
        text = item.get(key, default)
        if text is None or not (text.isascii() and text.isdigit() and len(text) < 16):
            raise self._error(item, f"{key} is missing" if text is None else f"{key} is {text[:40]!r}, not a size")
        return int(text)

    def take(self, item: ET.Element, cpus: Cpus) -> None:
        """Keep what an object says."""
        match item.get("type"):
            case "Package" | "Socket":
                self.packages.append(cpus)
                self._brand(item)
            case "NUMANode":
                index = self.number(item, "os_index", "0")
                if index in self.nodes:
                    raise self._error(item, "appears twice")
                self.nodes[index] = TopologyNode(index=index, total=self.number(item, "local_memory", "0"), cpus=cpus)
            case "L3Cache":
                self.l3[cpus] = self.number(item, "cache_size", "0")
            case "Cache" if item.get("depth") == "3":
                self.l3[cpus] = self.number(item, "cache_size", "0")
            case "Core":
                self.cores.append(cpus)
            case "PU":
                self.units.append(cpus)
            case "Machine":
                self._brand(item)
            case "PCIDev" if item.get("pci_type", "").startswith(_DISPLAY):
                self.devices[item.get("pci_busid", "").lower()] = cpus

    def _brand(self, item: ET.Element) -> None:
        for info in item.findall("info"):
            if info.get("name") == "CPUModel" and not self.model:
                self.model = tidy_brand(info.get("value", ""))

    def distances(self, root: ET.Element) -> None:
        """Take the firmware's latencies between NUMA nodes, if the file has them."""
        for item in root.findall("distances2"):
            if item.get("type") != "NUMANode" or "latency" not in item.get("name", "NUMALatency").lower():
                continue
            order, values = _numbers(item, "indexes"), _numbers(item, "u64values")
            if len(values) != len(order) ** 2 or set(order) != set(self.nodes):
                raise self._error(item, "distances do not match the NUMA nodes")
            width = len(order)
            for row, index in enumerate(order):
                by_index = dict(zip(order, values[row * width : (row + 1) * width], strict=True))
                node = self.nodes[index]
                found = tuple(by_index[other] for other in sorted(by_index))
                self.nodes[index] = replace(node, distances=found)

    def kinds(self, root: ET.Element) -> None:
        """Take the efficiency cores of a hybrid CPU."""
        for item in root.findall("cpukind"):
            kinds = {info.get("value") for info in item.findall("info") if info.get("name") == "CoreType"}
            if kinds & {"IntelAtom", "LowPower"}:
                self.efficient |= self.mask(item, item.get("cpuset", "0x0"))

    def topology(self) -> Topology:
        """What was collected; raises InputError when the file names no hardware thread."""
        cores = tuple(core for core in self.cores or self.units if core)
        if not cores:
            raise InputError(f"{self.where}: names no core; save it with lstopo --of xml and without --restrict")
        everything = frozenset().union(*cores)
        packages = tuple(cpus & everything for cpus in self.packages) or (everything,)
        nodes = self._owned()
        return Topology(
            packages=packages,
            nodes=nodes,
            l3=self.l3,
            cores=cores,
            efficient=self.efficient,
            pci={busid: _node_of(cpus, nodes) for busid, cpus in self.devices.items() if busid},
            model=self.model,
        )

    def _owned(self) -> tuple[TopologyNode, ...]:
        """The nodes by index; one beside an earlier node (HBM, CXL) is memory only, as the kernel lists it."""
        owned: list[TopologyNode] = []
        taken: Cpus = frozenset()
        for index in sorted(self.nodes):
            node = self.nodes[index]
            owned.append(replace(node, cpus=frozenset()) if node.cpus & taken else node)
            taken |= node.cpus
        return tuple(owned)


def _numbers(item: ET.Element, tag: str) -> list[int]:
    """The whole numbers of all ``tag`` children; what is none is left out, so that lengths no longer match."""
    words = [word for part in item.findall(tag) for word in (part.text or "").split()]
    return [int(word) for word in words if word.isascii() and word.isdigit() and len(word) < 16]


def _node_of(cpus: Cpus, nodes: tuple[TopologyNode, ...]) -> int | None:
    """The only node whose CPUs include all of ``cpus``."""
    around = [node.index for node in nodes if cpus and cpus <= node.cpus]
    return around[0] if len(around) == 1 else None

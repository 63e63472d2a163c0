"""The kernel's own description of the machine, read from a ``/sys`` tree: the reader without libraries.

Files: Documentation/admin-guide/cputopology.rst and Documentation/ABI/stable/sysfs-devices-node of Linux.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from omniplan.domain.cpuset import parse_cpus
from omniplan.errors import InputError
from omniplan.machines.probe.topology import Cpus, Topology, TopologyNode


def read_topology(root: Path = Path("/")) -> Topology | None:
    """The topology under ``root``/sys, or None when the kernel does not show one."""
    cpus = root / "sys/devices/system/cpu"
    online = read_cpus(cpus / "online")
    if not online:
        return None
    cores = _shared(cpus, online, ("core_cpus_list", "thread_siblings_list")) or tuple(frozenset({n}) for n in online)
    packages = _shared(cpus, online, ("package_cpus_list", "core_siblings_list")) or (online,)
    return Topology(
        packages=packages,
        nodes=_nodes(root / "sys/devices/system/node", online),
        l3=_l3(cpus, online),
        cores=cores,
        efficient=read_cpus(root / "sys/devices/cpu_atom/cpus") & online,
        pci=_displays(root / "sys/bus/pci/devices"),
    )


def read_text(path: Path) -> str:
    """The text of a small file, "" when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def read_cpus(path: Path) -> Cpus:
    """The CPU numbers a file lists; empty when it cannot be read."""
    try:
        return parse_cpus(read_text(path))
    except InputError:
        return frozenset()


def read_count(path: Path) -> int | None:
    """The whole number in a file, None when there is none."""
    text = read_text(path)
    return int(text) if re.fullmatch(r"-?\d{1,19}", text) else None


def _shared(cpus: Path, online: Cpus, names: Iterable[str]) -> tuple[Cpus, ...]:
    """Distinct groups of CPUs from the first of ``names`` that the kernel has, in order of their first CPU."""
    for name in names:
        groups = {read_cpus(cpus / f"cpu{number}/topology/{name}") & online for number in online}
        if found := sorted(filter(None, groups), key=min):
            return tuple(found)
    return ()


def _l3(cpus: Path, online: Cpus) -> dict[Cpus, int]:
    found: dict[Cpus, int] = {}
    for number in sorted(online):
        for index in range(2, 8):
            cache = cpus / f"cpu{number}/cache/index{index}"
            if read_count(cache / "level") != 3:
                continue
            size = re.fullmatch(r"(\d{1,9})K", read_text(cache / "size"))
            shared = read_cpus(cache / "shared_cpu_list") & online
            if shared and size:
                found[shared] = int(size[1]) << 10
    return found


def _nodes(folder: Path, online: Cpus) -> tuple[TopologyNode, ...]:
    indices = sorted(read_cpus(folder / "has_memory") or read_cpus(folder / "online"))
    return tuple(_node(folder / f"node{index}", index, online) for index in indices)


def _node(folder: Path, index: int, online: Cpus) -> TopologyNode:
    total = re.search(r"MemTotal:\s+(\d{1,15}) kB", read_text(folder / "meminfo"))
    distances = read_text(folder / "distance").split()
    if len(distances) < 2:  # One node has no distance to speak of; hwloc leaves it out as well.
        distances = []
    return TopologyNode(
        index=index,
        total=int(total[1]) << 10 if total else 0,
        cpus=read_cpus(folder / "cpulist") & online,
        distances=tuple(int(word) for word in distances if word.isdigit()),
    )


def _displays(folder: Path) -> dict[str, int | None]:
    """NUMA node of each display controller; the kernel writes -1 where the firmware does not say."""
    found: dict[str, int | None] = {}
    for device in sorted(folder.glob("*")) if folder.is_dir() else ():
        if read_text(device / "class").startswith("0x03"):
            node = read_count(device / "numa_node")
            found[device.name.lower()] = node if node is not None and node >= 0 else None
    return found

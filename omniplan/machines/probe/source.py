"""Machines from what another host saved: machine files, XML, what its programs printed, hwloc synthetic strings."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from omniplan.domain.machine import Machine, Memory
from omniplan.errors import InputError
from omniplan.machines.files import load_machine, parse_machine, profiles
from omniplan.machines.gpus import described
from omniplan.machines.probe import hwloc, kinds
from omniplan.machines.probe.host import placed
from omniplan.machines.probe.hwloc_xml import parse_topology, parse_xml
from omniplan.machines.probe.nvidia_smi import parse_smi
from omniplan.machines.probe.order import cuda_order, without_integrated
from omniplan.machines.probe.topology import Topology
from omniplan.units import MIB

# The largest lstopo file of a 64-socket machine is below 20 MiB; more is not a description.
_LARGEST: Final = 64 * MIB
_SYNTHETIC: Final = re.compile(r"(?:^|\s)\w+:\d", re.ASCII)


def read_source(
    *sources: str,
    name: str = "",
    environment: Mapping[str, str] | None = None,
    load_hwloc: Callable[[], hwloc.Hwloc] = hwloc.load,
) -> Machine:
    """The machine that ``sources`` describe together; raises InputError with the path inside the one at fault.

    Each is a profile name, a path (``-`` is standard input) to a machine file, to XML of lstopo or nvidia-smi or to
    what one of ``kinds.KNOWN`` printed, or a synthetic string such as "pack:1 numa:4 l3:3 core:8 pu:2". Later sources
    fill what earlier ones leave out, for example GPUs.
    """
    if not sources:
        raise InputError("expected a file that a program saved, a machine file or a synthetic topology")
    found = [_one(source, environment or {}, load_hwloc) for source in sources]
    return _together(found, name, " + ".join(sources))


def read_texts(texts: Mapping[str, str], *, name: str, environment: Mapping[str, str]) -> Machine:
    """The machine that programs describe together, each text under the name of what printed it; raises InputError."""
    return _together([_parse(text, where, environment) for where, text in texts.items()], name, " + ".join(texts))


def _together(found: Sequence[tuple[Machine, Topology | None]], name: str, where: str) -> Machine:
    topology = next((item for _, item in found if item is not None), None)
    machine = found[0][0]
    for other, _ in found[1:]:
        machine = _merged(machine, other)
    gpus, left_out = without_integrated(machine.gpus)
    gpus = tuple(placed(gpu, topology, machine.memory) for gpu in gpus)
    machine = replace(machine, gpus=gpus, name=name or machine.name, notes=(*machine.notes, *left_out))
    try:
        return Machine.from_dict(machine.to_dict())
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _one(
    source: str, environment: Mapping[str, str], load_hwloc: Callable[[], hwloc.Hwloc]
) -> tuple[Machine, Topology | None]:
    if source in profiles():
        return load_machine(source), None
    if "/" not in source and _SYNTHETIC.search(source):
        try:
            topology = load_hwloc().synthetic(source)
        except hwloc.HwlocMissing as error:
            raise InputError(f"{source}: a synthetic topology needs libhwloc: {error}") from error
        return _synthetic(source, topology), topology
    return _parse(_read(source), source, environment)


def _read(source: str) -> str:
    """A file's text, standard input for ``-``; PowerShell writes UTF-16."""
    try:
        if source == "-":
            return _decoded(sys.stdin.buffer.read(_LARGEST))
        path = Path(source)
        if path.stat().st_size > _LARGEST:
            raise InputError(
                f"{source}: {path.stat().st_size // MIB} MiB are too many for a description of a machine; "
                f"name what lstopo or nvidia-smi saved"
            )
        return _decoded(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(f"{source[:80]}: expected a file, a profile or a synthetic topology") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise InputError(f"{source[:80]}: cannot be read: {reason}") from error


def _decoded(data: bytes) -> str:
    return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")


def _parse(text: str, where: str, environment: Mapping[str, str]) -> tuple[Machine, Topology | None]:
    """What a text says, by the first reader that knows its form; a machine file is what none does."""
    if text.lstrip().startswith("<"):
        return _parse_xml(text, where, environment)
    if (known := kinds.of_text(text, where)) is not None:
        return known, None
    return parse_machine(text, where=where), None


def _parse_xml(text: str, where: str, environment: Mapping[str, str]) -> tuple[Machine, Topology | None]:
    if parse_xml(text, where=where).tag == "nvidia_smi_log":
        gpus, notes = parse_smi(text, where=where)
        order = cuda_order(gpus, environment)
        shown = tuple(described(gpu) for gpu in order.gpus)
        return Machine(name=Path(where).stem, gpus=shown, notes=(*notes, *order.assumptions), source=where), None
    topology = parse_topology(text, where=where)
    return _machine(topology, name=Path(where).stem, source=where), topology


def _machine(topology: Topology, *, name: str, source: str) -> Machine:
    nodes = topology.numa_nodes()
    total = sum(node.total for node in nodes) // MIB * MIB
    return Machine(
        name=name,
        description=topology.model,
        memory=Memory(total=total) if total else None,
        numa_nodes=nodes,
        nps=topology.nodes_per_socket,
        cpu=topology.cpu(),
        notes=("memory in use, channels, speed and bandwidth unknown: write them under [memory]",),
        source=source,
    )


def _synthetic(description: str, topology: Topology) -> Machine:
    machine = _machine(topology, name="synthetic", source=f"hwloc synthetic topology {description.strip()}")
    if "memory=" in description:
        return machine
    # libhwloc gives every node and cache a size of its own making; those are nobody's facts.
    nodes = tuple(replace(node, total=0) for node in machine.numa_nodes)
    note = "memory unknown: write it as numa:4(memory=96GB), or [memory] with total_mib in the machine file"
    cpu = replace(machine.cpu, l3=None) if machine.cpu else None
    return replace(machine, memory=None, numa_nodes=nodes, cpu=cpu, notes=(note,))


def _merged(machine: Machine, other: Machine) -> Machine:
    """``machine`` with what only ``other`` knows."""
    return replace(
        machine,
        description=", ".join(filter(None, (machine.description, other.description))),
        gpus=kinds.joined(machine.gpus, other.gpus),
        memory=machine.memory or other.memory,
        numa_nodes=machine.numa_nodes or other.numa_nodes,
        nps=machine.nps if machine.nps is not None else other.nps,
        cpu=machine.cpu or other.cpu,
        notes=(*machine.notes, *other.notes),
        source=" + ".join(filter(None, (machine.source, other.source))),
    )

"""NUMA and thread advice for a machine and the weights that stream from its RAM; texts and figures are table rows."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from omniplan.domain.cpuset import parse_cpus
from omniplan.domain.evidence import Reason, ReasonVerdict
from omniplan.domain.machine import Machine, ReservationKind
from omniplan.domain.processor import Cpu
from omniplan.machines.advice import AdviceSeverity, rules
from omniplan.units import GIB, gib

# Less weight than this in RAM is the token embedding, which is looked up and not streamed.
STREAMS: Final = GIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One rule that applies: what to do or know, the measurement behind it, and how to check."""

    rule: str
    severity: AdviceSeverity
    statement: str
    measured: str
    check: str
    source: str

    def reason(self) -> Reason:
        """The advice as a plan carries it, measurement included."""
        measured = f"; measured: {self.measured}" if self.measured else ""
        return Reason(
            verdict=ReasonVerdict.NOTE, subject=self.rule, statement=self.statement + measured, source=self.source
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Threads:
    """Thread counts for ``-t`` (decode) and ``-tb`` (prompts), None where the cores are unknown."""

    decode: int | None
    batch: int | None
    advice: tuple[Advice, ...] = ()


def advise(machine: Machine, streamed: int) -> tuple[Advice, ...]:
    """All advice, warnings first, for a model of which ``streamed`` bytes of weights stay in RAM."""
    found = (*numa_advice(machine, streamed), *threads(machine, streamed).advice)
    order = list(AdviceSeverity)
    return tuple(sorted(found, key=lambda item: order.index(item.severity)))


def spill_advice(machine: Machine, used: Collection[str]) -> tuple[Advice, ...]:
    """What to watch on cards in use that Windows' display driver model shares out."""
    shared = [
        gpu.description or gpu.name
        for gpu in machine.gpus
        if gpu.name in used and any(row.kind is ReservationKind.WDDM for row in gpu.reserved)
    ]
    return (_advice("silent-spill", gpus=" and ".join(shared)),) if shared else ()


def numa_advice(machine: Machine, streamed: int) -> tuple[Advice, ...]:
    """What the NUMA nodes mean for ``streamed`` bytes of weights in RAM."""
    nodes = machine.numa_nodes
    if streamed <= 0:
        return (_advice("gpu-only"),) if len(nodes) < 2 else (_useless("the weights are on the GPUs"),)
    per_socket = machine.nodes_per_socket
    sockets = machine.cpu.n_sockets if machine.cpu else 1
    if per_socket is None:
        return ()
    found = [*_split_socket(machine, per_socket, streamed)]
    if sockets > 1:
        found.append(_sockets(machine, sockets, streamed))
    elif per_socket == 1:
        found += _one_node(machine)
    else:
        found.append(_advice("numa-distribute", nodes=per_socket))
    smallest = min((node.total for node in nodes if node.total), default=0)
    if len(nodes) > 1 and streamed > smallest > 0:
        found.append(_advice("never-membind", node=gib(smallest), streamed=gib(streamed)))
    return tuple(found)


def _one_node(machine: Machine) -> list[Advice]:
    # Only processors with many channels can be split into nodes in the BIOS.
    can_split = machine.memory is not None and (machine.memory.channels or 0) >= 4
    return [*([_advice("nps-one")] if can_split else []), _useless("there is one NUMA node")]


def _split_socket(machine: Machine, per_socket: int, streamed: int) -> list[Advice]:
    sockets = machine.cpu.n_sockets if machine.cpu else 1
    caches = machine.cpu.n_l3 if machine.cpu else None
    # AMD offers NPS1, 2 and 4; a node per L3 cache is another BIOS switch.
    if per_socket > 4 or (per_socket == 3 and caches == per_socket * sockets):
        return [_advice("l3-as-numa", nodes=per_socket * sockets)]
    return [_advice("nps-streaming", nps=per_socket, streamed=gib(streamed))] if per_socket > 1 else []


def _sockets(machine: Machine, sockets: int, streamed: int) -> Advice:
    """Bind to one socket when its memory holds the weights, else spread them over all."""
    first = [node for node in machine.numa_nodes if node.package == 0] if _has_packages(machine) else []
    first = first or list(machine.numa_nodes[: max(1, len(machine.numa_nodes) // sockets)])
    largest = sum(node.total for node in first)
    if streamed > largest > 0:
        return _advice("interleave", streamed=gib(streamed), largest=gib(largest))
    return _advice("one-socket", sockets=sockets, nodes=",".join(str(node.index) for node in first) or "0")


def _has_packages(machine: Machine) -> bool:
    return all(node.package is not None for node in machine.numa_nodes)


def _useless(why: str) -> Advice:
    return _advice("numa-useless", why=why)


def threads(machine: Machine, streamed: int) -> Threads:
    """Thread counts from physical cores, the saturation rule and what a container allows."""
    cpu = machine.cpu
    if cpu is None or not (cpu.n_cores or cpu.n_threads):
        return Threads(decode=None, batch=None)
    found: list[Advice] = []
    cores = _usable_cores(cpu)
    if cores < cpu.n_cores:
        found.append(_advice("cpuset", allowed=cores, cores=cpu.n_cores))
    if streamed <= 0:
        return Threads(decode=min(cores, _cap()), batch=cores, advice=tuple(found))
    decode = _decode(cpu, cores, found)
    found.append(_advice("batch-threads", threads=cores))
    if cpu.n_threads > cpu.n_cores:
        found.append(_advice("no-smt"))
    return Threads(decode=decode, batch=cores, advice=tuple(found))


def _decode(cpu: Cpu, cores: int, found: list[Advice]) -> int:
    if cpu.n_efficiency_cores and cores == cpu.n_cores:
        count = min(cpu.n_performance_cores, _cap())
        kinds = {"performance": cpu.n_performance_cores, "efficiency": cpu.n_efficiency_cores}
        found.append(_advice("hybrid", threads=count, all=cores, **kinds))
        return count
    # Other sockets' memory is remote (rule one-socket), so decode runs on the cores of one.
    count = min(max(1, -(-cores // cpu.n_sockets)), _cap())
    if count > 8 and count % 2:
        found.append(_advice("even-threads", odd=count, threads=count - 1))
        count -= 1
    found.append(_advice("decode-threads", threads=count, cap=_cap()))
    return count


def _cap() -> int:
    cap = rules()["decode-threads"].cap
    assert cap is not None
    return cap


def _usable_cores(cpu: Cpu) -> int:
    """Physical cores this process may use: a cpuset counts hardware threads, a quota counts CPU time."""
    cores = cpu.n_cores or cpu.n_threads
    if cpu.allowed_cores is not None:
        cores = min(cores, cpu.allowed_cores)
    elif cpu.allowed:
        cores = min(cores, len(parse_cpus(cpu.allowed)))
    return max(1, min(cores, int(cpu.quota)) if cpu.quota else cores)


def _advice(name: str, **facts: str | int) -> Advice:
    rule = rules()[name]
    return Advice(
        rule=name,
        severity=rule.severity,
        statement=_fill(rule.statement, facts),
        measured=rule.measured,
        check=_fill(rule.check, facts),
        source=rule.source,
    )


def _fill(text: str, facts: dict[str, str | int]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: str(facts.get(match[1], match[0])), text)

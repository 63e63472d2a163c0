"""Where a machine computes beside its GPUs: the processor, and NUMA nodes with their memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from omniplan.documents.column import Column, Count, Gbs, Mib, Positive
from omniplan.domain.cpuset import format_cpus, parse_cpus
from omniplan.errors import InputError


def _cpuset(text: str) -> str:
    """A cpuset in normal form; one that is written but names no CPU is an error."""
    if not (found := parse_cpus(text)):
        raise InputError("names no CPU; leave it out where it is unknown")
    return format_cpus(found)


def _named(values: Mapping[str, Any]) -> int:
    """Hardware threads that the cpuset names."""
    return len(parse_cpus(values["cpus"]))


Cpuset = Annotated[str, Column(parse=_cpuset)]


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

"""Rules about RAM, threads and NUMA nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from omniplan.check.case import DEFAULT, Case
from omniplan.check.hit import Hit
from omniplan.check.rule import CommandRule
from omniplan.check.values import Severity
from omniplan.domain.cpuset import parse_cpus
from omniplan.domain.footprint import RAM
from omniplan.domain.params import LoadMode, Numa
from omniplan.domain.processor import NumaNode
from omniplan.errors import InputError
from omniplan.formats.command import Word
from omniplan.formats.remote import is_public
from omniplan.machines.probe.advice import STREAMS
from omniplan.units import GIB, MIB, gib

# RAM that a server needs beside everything that is counted.
_BESIDE: Final = GIB


def prompt_cache(case: Case) -> Iterator[Hit]:
    """The prompt cache may grow beyond the RAM that is left."""
    memory = case.machine.memory if case.machine else None
    if memory is None or case.params.embedding:
        return
    given, limit = case.option("cache-ram"), case.params.cache_ram
    used = next((pool.used for pool in case.priced.pools if pool.name == RAM), 0) if case.priced else 0
    left = memory.available - used
    if limit == 0 or left < 0 or (limit > 0 and limit * MIB + _BESIDE <= left):
        return
    how = "without a limit" if limit < 0 else f"up to {gib(limit * MIB)}"
    size = max(0, left - 2 * _BESIDE) // (256 * MIB) * 256
    yield Hit(
        message=f"the prompt cache grows {how} and {gib(left)} of RAM are left for it",
        at=given.at if given else None,
        fix=f"-cram {size}",
    )


def tight_without_mmap(case: Case) -> Iterator[Hit]:
    """Weights read or locked into RAM that nearly fill it."""
    memory = case.machine.memory if case.machine else None
    given = case.option("load-mode")
    modes = (LoadMode.NONE, LoadMode.MLOCK, LoadMode.MMAP_MLOCK, LoadMode.DIO)
    if memory is None or given is None or case.params.load_mode not in modes or case.priced is None:
        return
    used = next((pool.used for pool in case.priced.pools if pool.name == RAM), 0)
    if 0 <= memory.available - used < DEFAULT.ram:
        yield Hit(
            message=f"{given.name} {given.value} holds {gib(used)} of the {gib(memory.available)} that RAM has free",
            at=given.at,
        )


def threads_over_cores(case: Case) -> Iterator[Hit]:
    """More threads than physical cores, or than the node has that the command is bound to."""
    cpu = case.machine.cpu if case.machine else None
    if cpu is None or not cpu.n_cores:
        return
    nodes = _bound(case, "cpunodebind", "N")
    cores, where = cpu.n_cores, "physical cores"
    if nodes and all(node.n_cores for node in nodes):
        cores = min(cores, sum(node.n_cores for node in nodes))
        where = f"cores of node {', '.join(str(node.index) for node in nodes)}"
    for key, count in (("threads", case.params.n_threads), ("threads-batch", case.params.n_threads_batch)):
        given = case.option(key)
        asked = cpu.n_threads if count == 0 else count
        if given is not None and asked > cores:
            yield Hit(message=f"{given.name} {given.value} on {cores} {where}", at=given.at)


def streams_over_nodes(case: Case) -> Iterator[Hit]:
    """Weights stream from RAM that is split into NUMA nodes."""
    machine = case.machine
    if machine is None or case.host_weights < STREAMS or len(machine.numa_nodes) < 2:
        return
    per_socket = machine.nodes_per_socket
    how = f"NPS{per_socket}" if per_socket and per_socket > 1 else f"{len(machine.numa_nodes)} NUMA nodes"
    yield Hit(message=f"{how}: {gib(case.host_weights)} of weights stream from RAM across nodes")


def membind(case: Case) -> Iterator[Hit]:
    """``numactl --membind`` to nodes that cannot hold what stays in RAM."""
    word = _numactl(case, "membind", "m")
    if word is None:
        return
    nodes = _bound(case, "membind", "m")
    held = sum(node.total for node in nodes)
    if case.machine is None or not nodes or not held:
        yield Hit(
            message="memory is bound to a node; nothing here says that the node holds the model",
            at=word,
            severity=Severity.INFO,
        )
        return
    need = next((pool.used for pool in case.priced.pools if pool.name == RAM), 0) if case.priced else 0
    if not case.priced and case.model is not None and not case.gpus:
        need = case.model.header.tensor_bytes
    if need > held:
        yield Hit(message=f"bound to {gib(held)} of RAM, {gib(need)} are needed there", at=word)


def numa_useless(case: Case) -> Iterator[Hit]:
    """``--numa`` on one node, or with nothing in RAM."""
    given = case.option("numa")
    if given is None or case.params.numa is Numa.DISABLED or case.machine is None:
        return
    nodes = len(case.machine.numa_nodes) or (case.machine.nodes_per_socket or 0)
    if nodes == 1:
        yield Hit(message=f"{given.name} {given.value} and there is one NUMA node", at=given.at)
    elif case.priced is not None and case.host_weights < STREAMS:
        yield Hit(message=f"{given.name} {given.value} and the weights are on the GPUs", at=given.at)


def _numactl(case: Case, long: str, short: str) -> Word | None:
    """The value that numactl before the server has for an option."""
    words = case.command.prefix
    if not any(word.text.rpartition("/")[2] == "numactl" for word in words):
        return None
    for at, word in enumerate(words):
        name, equals, value = word.text.partition("=")
        if name == f"--{long}" and equals:
            return Word(text=value, line=word.line)
        if word.text in (f"--{long}", f"-{short}") and at + 1 < len(words):
            return words[at + 1]
        if word.text.startswith(f"-{short}") and word.text[2:].isdigit():
            return Word(text=word.text[2:], line=word.line)
    return None


def _bound(case: Case, long: str, short: str) -> Sequence[NumaNode]:
    word = _numactl(case, long, short)
    if word is None or case.machine is None:
        return ()
    try:
        indices = set(parse_cpus(word.text))
    except (InputError, ValueError):
        return ()
    return tuple(node for node in case.machine.numa_nodes if node.index in indices)


def public_rpc(case: Case) -> Iterator[Hit]:
    """An rpc-server that everybody can reach."""
    given = case.option("rpc")
    for address in filter(is_public, case.params.rpc):
        yield Hit(message=f"{address} is a public address", at=given.at if given else None)


RULES: Final[Mapping[str, CommandRule]] = {
    "prompt-cache-over-ram": prompt_cache,
    "tight-without-mmap": tight_without_mmap,
    "threads-over-cores": threads_over_cores,
    "streams-over-numa-nodes": streams_over_nodes,
    "membind-too-small": membind,
    "numa-useless": numa_useless,
    "rpc-public": public_rpc,
}

"""Which device runs a few nodes, told from their neighbours alone: what ``assign`` says, without all other nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from omniplan.llamacpp.ggml.buffers import is_host
from omniplan.llamacpp.ggml.prepared import Prepared
from omniplan.llamacpp.ggml.schedule import Homes


@dataclass(frozen=True, slots=True)
class _Settled:
    """A node that goes where ``leaf`` is, its weight or, ``is_rooted``, the cache that it writes."""

    node: int
    leaf: int
    is_rooted: bool


# The nearest settled nodes before and behind a node that is not, None where something else may settle it or another
# between them. By graph and node.
_Beside = tuple[_Settled, _Settled] | None
_KNOWN: WeakKeyDictionary[Prepared, dict[int, _Beside]] = WeakKeyDictionary()


def backends_of(graph: Prepared, homes: Homes, nodes: Sequence[int]) -> list[int] | None:
    """The backend of each of ``nodes``, or None where only ``assign`` can tell."""
    known = _KNOWN.setdefault(graph, {})
    if any(node not in known for node in nodes):
        known.update(_neighbours(graph, nodes))
    teller = _Teller(graph, homes)
    found = []
    for node in nodes:
        beside = known[node]
        backend = teller.between(node, *beside) if beside else None
        if backend is None:
            return None
        found.append(backend)
    return found


def _neighbours(graph: Prepared, nodes: Iterable[int]) -> Mapping[int, _Beside]:
    settled = {i: _Settled(i, weight, is_rooted=False) for i, weight in graph.weighted}
    settled |= {i: _Settled(i, graph.root[i], is_rooted=True) for i in graph.rooted}
    pinned = {*graph.on_cpu, *(i for i, _ in (*graph.pinned, *graph.looked_up))}
    place = {i: at for at, i in enumerate(graph.work)}

    def nearest(node: int, step: int) -> _Settled | None:
        at = place[node]
        while 0 <= (at := at + step) < len(graph.work) and graph.work[at] not in pinned:
            if found := settled.get(graph.work[at]):
                return found
        return None

    found: dict[int, _Beside] = {}
    for node in nodes:
        is_free = node not in pinned and node not in settled
        before, behind = nearest(node, -1), nearest(node, 1)
        found[node] = (before, behind) if is_free and before and behind else None
    return found


class _Teller:
    """The first two passes of ``assign`` between two settled nodes."""

    def __init__(self, graph: Prepared, homes: Homes) -> None:
        self.graph = graph
        self.homes = homes
        self.gpus = homes.devices[:-1]
        self.device = {gpu.buffer: i for i, gpu in enumerate(self.gpus)}

    def between(self, node: int, before: _Settled, behind: _Settled) -> int | None:
        """A device spreads down to ``node``, else one spreads up to it, else the CPU does."""
        for settled in (before, behind):
            owner = self._owner(settled)
            if owner is None or (owner < len(self.gpus) and not self._runs(node, owner)):
                return None
            if owner < len(self.gpus):
                return owner
        return len(self.gpus)

    def _owner(self, settled: _Settled) -> int | None:
        buffer = self.homes.home(self.graph.tensors[settled.leaf])
        owner = self.device.get(buffer)
        if owner is not None:
            return owner if self._runs(settled.node, owner) else None
        if not is_host(buffer) or (not settled.is_rooted and self._may_be_taken(settled.node)):
            return None
        return len(self.gpus)

    def _may_be_taken(self, node: int) -> bool:
        """Whether some device asks for work with a weight in RAM."""
        asked = self.homes.offload_min_batch
        return self.homes.op_offload and any(self.graph.offloads(gpu.backend, asked)[node] for gpu in self.gpus)

    def _runs(self, node: int, owner: int) -> bool:
        """Whether a device has the kernel and everything that cannot move."""
        if not self.graph.supported(self.gpus[owner].backend)[node]:
            return False
        homes = (self.homes.home(self.graph.tensors[leaf]) for leaf in self.graph.home_sources[node])
        return all(self.device.get(buffer, owner) == owner for buffer in homes)

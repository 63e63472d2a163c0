"""What back ends do to the splits of a graph before it is allocated, worked out once for every split of a graph."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

from omniplan.llamacpp.build import Fusions
from omniplan.llamacpp.ggml.backend import Backend, Optimizer
from omniplan.llamacpp.ggml.prepared import Prepared


@dataclass(frozen=True, slots=True)
class _Done:
    """The nodes of a split in their new order, and what each of some nodes must not outlive.

    A copy is told by the tensor that it was made of, counted below zero.
    """

    order: tuple[int, ...]
    keep: tuple[tuple[int, tuple[int, ...]], ...]


# By graph and rules, then by optimizer, ends of the split and which sources are copies. Placements of one model differ
# in few of their splits.
_KNOWN: Final[WeakKeyDictionary[Prepared, dict[Fusions, dict[Hashable, _Done]]]] = WeakKeyDictionary()


class Optimized:
    """``order`` of a graph's nodes and what they ``keep`` (node -> tensors it outlives), filled split by split.

    ``src`` are the sources of every node after copies took their place, ``origin`` the tensors that were copied.
    """

    def __init__(
        self, graph: Prepared, src: Sequence[tuple[int, ...]], origin: Sequence[int], fusions: Fusions
    ) -> None:
        self.order = list(range(graph.n_nodes))
        self.keep: dict[int, list[int]] = {}
        self._graph = graph
        self._src = src
        self._origin = origin
        self._fusions = fusions
        self._known = _KNOWN.setdefault(graph, {}).setdefault(fusions, {})
        self._found: dict[int, list[int]] = {}
        self._optimizers: dict[type[Optimizer], Optimizer] = {}

    def run(self, backend: Backend, start: int, end: int) -> None:
        """Let ``backend`` handle one split."""
        if backend.optimizer is None:
            return
        copied = self._copied(start, end)
        key = backend.optimizer, start, end, copied
        done = self._known.get(key)
        if done is None:
            done = self._known[key] = self._handled(backend.optimizer, start, end)
        self.order[start:end] = done.order
        base = len(self._graph.tensors)
        copies = {self._origin[s - base]: s for i, *_ in copied for s in self._src[i] if s >= base}
        for until, tensors in done.keep:
            held = [t if t >= 0 else copies[-1 - t] for t in tensors]
            kept = self.keep.get(until)
            self.keep[until] = [*kept, *(s for s in held if s not in kept)] if kept else held

    def _copied(self, start: int, end: int) -> tuple[tuple[int, ...], ...]:
        """The nodes that read copies, with what they read; one behind the split, which back ends look at, with them."""
        src, given = self._src, self._graph.src
        changed = [i for i in range(start, min(end + 1, self._graph.n_nodes)) if src[i] is not given[i]]
        return tuple([(i, *map(self._told, src[i])) for i in changed])

    def _told(self, tensor: int) -> int:
        base = len(self._graph.tensors)
        return tensor if tensor < base else -1 - self._origin[tensor - base]

    def _handled(self, kind: type[Optimizer], start: int, end: int) -> _Done:
        found, order = self._found, self.order
        if kind not in self._optimizers:
            args = self._graph, order, self._src, self._origin, found, self._fusions
            self._optimizers[kind] = kind(*args)
        found.clear()
        self._optimizers[kind].run(start, end)
        keep = tuple([(until, tuple(map(self._told, tensors))) for until, tensors in found.items()])
        return _Done(tuple(order[start:end]), keep)

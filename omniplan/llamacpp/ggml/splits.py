"""Cutting a graph into splits, with the copies each one takes in: ggml_backend_sched_split_graph of b11434."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from omniplan.llamacpp.ggml.optimized import Optimized
from omniplan.llamacpp.ggml.prepared import Prepared
from omniplan.llamacpp.ggml.schedule import Homes, assign, shared_weights


@dataclass(slots=True, kw_only=True)
class Split:
    """A run of nodes on one backend: ``start`` to ``end`` of the order, and the tensors it copies in."""

    backend: int
    start: int
    end: int = 0
    inputs: list[int] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Schedule:
    """A graph cut into splits, ready for allocation.

    Numbers from ``len(graph.tensors)`` on are copies: copy ``k`` of ``origin[k]`` for backend ``backend[number]``.
    ``src`` and ``live`` are the sources after copies took their place, ``live`` without weights and caches.
    ``changed`` are the nodes that read copies; ``moved`` lists (tensor, copy) for each use that went from one to the
    other. ``order`` is the order of nodes after the back ends' reordering; ``keep`` the tensors that outlive a node.
    """

    graph: Prepared
    homes: Homes
    backend: list[int]
    order: list[int]
    src: list[tuple[int, ...]]
    live: list[tuple[int, ...]]
    splits: list[Split]
    origin: list[int]
    changed: list[int]
    moved: list[tuple[int, int]]
    keep: dict[int, list[int]]


def schedule(graph: Prepared, homes: Homes) -> Schedule:
    """Assign devices, cut splits, and let the back ends reorder and tie their nodes."""
    return optimized(cut(graph, homes))


def cut(graph: Prepared, homes: Homes) -> Schedule:
    """The same with all nodes still in their order and nothing tied."""
    made = _Cut(graph, assign(graph, homes), shared_weights(graph, homes))
    made.run()
    return Schedule(
        graph=graph, homes=homes, backend=made.backend, order=list(range(graph.n_nodes)), src=made.src, live=made.live,
        splits=made.splits, origin=made.origin, changed=made.changed, moved=made.moved, keep={},
    )  # fmt: skip


def optimized(plan: Schedule, only: int | None = None) -> Schedule:
    """``plan`` as the back ends leave it, or the one of device ``only``."""
    found = Optimized(plan.graph, plan.src, plan.origin, plan.homes.build.fusions)
    for split in plan.splits:
        if only in (None, split.backend):
            found.run(plan.homes.devices[split.backend].backend, split.start, split.end)
    return replace(plan, order=found.order, keep=found.keep)


class _Cut:
    """Pass 5, with the lists it builds."""

    def __init__(self, graph: Prepared, backend: list[int], same: dict[int, int]) -> None:
        self.graph = graph
        self.same = same
        self.backend = backend
        self.src = list(graph.src)
        self.live = list(graph.live)
        self.splits: list[Split] = []
        self.origin: list[int] = []
        self.changed: list[int] = []
        self.moved: list[tuple[int, int]] = []
        self._copies: dict[tuple[int, int], int] = {}

    def run(self) -> None:
        """Walk the nodes once; a split ends where the backend changes or another weight must come in."""
        graph, backend, weights = self.graph, self.backend, self.graph.weights
        split = Split(backend=backend[graph.work[0]] if graph.work else len(backend) - 1, start=0)
        self.splits.append(split)
        current = split.backend
        for i in graph.work:
            if backend[i] != current or (split.inputs and weights[i] and self._needs_weight(i, current)):
                split.end = i
                current = backend[i]
                split = Split(backend=current, start=i)
                self.splits.append(split)
            for s in graph.src[i]:
                if backend[s] != current:
                    self._bring(i, split)
                    break
        split.end = graph.n_nodes

    def _needs_weight(self, i: int, current: int) -> bool:
        for w in self.graph.weights[i]:  # noqa: SIM110 - asked for every weight, and mostly there is one
            if self.backend[w] != current:
                return True
        return False

    def _bring(self, i: int, split: Split) -> None:
        """Point node ``i`` at copies of the sources that are elsewhere."""
        backend, here = self.backend, split.backend
        src = tuple([s if backend[s] == here else self._local(s, split) for s in self.graph.src[i]])
        self.src[i] = src
        self.changed.append(i)
        homes: Sequence[int] = self.graph.home_sources[i]
        self.live[i] = tuple([s for s in src if s not in homes]) if homes else src

    def _local(self, s: int, split: Split) -> int:
        """The copy for ``split`` of a tensor that is elsewhere."""
        s = self.same.get(s, s)
        key = s, split.backend
        copy = self._copies.get(key)
        if copy is None:
            copy = self._copies[key] = len(self.backend)
            self.backend.append(split.backend)
            self.origin.append(s)
            split.inputs.append(s)
        self.moved.append((s, copy))
        return copy

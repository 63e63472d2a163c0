"""How Metal reorders a split so that nodes run side by side (ggml-metal-common.cpp: ggml_graph_optimize of b11434).

Nodes that one kernel computes move together; what such a run reads from outside is kept until it ends
(ggml-metal-fusion.cpp: ggml_metal_fusion_add_alloc_deps).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from weakref import WeakKeyDictionary

from omniplan.llamacpp.build import Fusions
from omniplan.llamacpp.ggml import metal_runs
from omniplan.llamacpp.ggml.metal_runs import EMPTY, Runs
from omniplan.llamacpp.ggml.prepared import Prepared

# How many runs ahead a run is looked for that can start earlier.
_AHEAD: Final = 64
_MOVED: Final = EMPTY | frozenset(
    "MUL_MAT MUL_MAT_ID ROPE NORM RMS_NORM GROUP_NORM L2_NORM SUM_ROWS SSM_CONV SSM_SCAN CLAMP TRI DIAG MUL ADD SUB "
    "DIV GLU SCALE UNARY GET_ROWS SET_ROWS SET CPY CONT REPEAT".split()
)


class _Run:
    """Nodes of one kernel: what they read from outside and write, as numbers of tensors with memory of their own."""

    __slots__ = ("is_empty", "is_movable", "nodes", "reads", "writes")

    def __init__(self, nodes: Sequence[int], op: str, reads: frozenset[int], writes: frozenset[int]) -> None:
        self.nodes = nodes
        self.is_empty = op in EMPTY
        self.is_movable = op in _MOVED
        self.reads = reads
        self.writes = writes


class _Ranges:
    """What a set of runs reads and writes."""

    __slots__ = ("reads", "writes")

    def __init__(self) -> None:
        self.reads: set[int] = set()
        self.writes: set[int] = set()

    def add(self, run: _Run) -> None:
        self.reads |= run.reads
        self.writes |= run.writes

    def allow(self, run: _Run) -> bool:
        """Whether ``run`` can be computed beside them."""
        writes = run.writes
        return writes.isdisjoint(self.writes) and run.reads.isdisjoint(self.writes) and writes.isdisjoint(self.reads)


class _Known:
    """What is the same in every placement of a graph.

    ``lengths`` and ``runs`` are by first node, runs without copies alone: a copy has memory of its own, where a view of
    an input would seem to be written with it.
    """

    __slots__ = ("lengths", "runs")

    def __init__(self) -> None:
        self.lengths: dict[int, tuple[int, int]] = {}
        self.runs: dict[tuple[int, int], _Run] = {}


_KNOWN: Final[WeakKeyDictionary[Prepared, dict[type[Runs], _Known]]] = WeakKeyDictionary()


class Reorderer:
    """Reorders splits of Metal devices in ``order``, and fills ``keep`` (node -> tensors it outlives)."""

    runs: type[Runs] = metal_runs.Patterns
    keeps = True

    def __init__(
        self,
        graph: Prepared,
        order: list[int],
        src: Sequence[tuple[int, ...]],
        origin: Sequence[int],
        keep: dict[int, list[int]],
        fusions: Fusions,
    ) -> None:
        del fusions
        self.graph = graph
        self.order = order
        self.src = src
        self.keep = keep
        found = _KNOWN.setdefault(graph, {})
        self.known = found.setdefault(self.runs, _Known())
        self.matcher = self.runs(graph, src, origin, self.known.lengths)

    def run(self, start: int, end: int) -> None:
        """Handle one split."""
        nodes = self.order[start:end]
        for first, last in metal_runs.tied(self.graph.op, nodes) if self.keeps else ():
            self._keep(nodes[first : last + 1])
        runs = [self._run(nodes[first:last]) for first, last in self.matcher.spans(nodes)]
        self.order[start:end] = [node for run in _reordered(runs) for node in run.nodes]

    def _keep(self, nodes: Sequence[int]) -> None:
        """Keep what ``nodes`` read until the last of them is done."""
        seen: set[int] = set()
        kept = self.keep.setdefault(nodes[-1], [])
        for node in nodes:
            for tensor in self.src[node]:
                if tensor not in seen:
                    seen.add(tensor)
                    kept.append(tensor)
            seen.add(node)

    def _run(self, nodes: Sequence[int]) -> _Run:
        key = nodes[0], len(nodes)
        found = self.known.runs.get(key)
        given = self.graph.src
        has_copies = any(self.src[node] is not given[node] for node in nodes)
        if found is None or has_copies:
            own = set(nodes)
            reads = frozenset(self._base(s) for node in nodes for s in self.src[node] if s not in own)
            found = _Run(nodes, self.graph.op[nodes[0]], reads, frozenset(map(self._base, nodes)))
            if not has_copies:
                self.known.runs[key] = found
        return found

    def _base(self, tensor: int) -> int:
        """The tensor whose memory it is; copies have their own."""
        root = self.graph.root
        return root[tensor] if tensor < len(root) and root[tensor] >= 0 else tensor


class Untied(Reorderer):
    """The same before b11053, when nothing was kept for fused kernels."""

    keeps = False


class Chained(Untied):
    """The same before b10941, when only sums and norms moved together."""

    runs = metal_runs.Chains


def _reordered(runs: Sequence[_Run]) -> list[_Run]:
    """Runs in an order that has more of them side by side (ggml_metal_graph_optimize_reorder)."""
    found: list[_Run] = []
    used = [False] * len(runs)
    beside = _Ranges()
    for i, run in enumerate(runs):
        if used[i]:
            continue
        if not run.is_empty and not beside.allow(run):
            waiting = _Ranges()
            waiting.add(run)
            for j in range(i + 1, min(i + _AHEAD, len(runs))):
                other = runs[j]
                if used[j]:
                    continue
                if not other.is_movable:
                    break
                if (other.is_empty or beside.allow(other)) and waiting.allow(other):
                    beside.add(other)
                    found.append(other)
                    used[j] = True
                else:
                    waiting.add(other)
            beside = _Ranges()
        beside.add(run)
        found.append(run)
    return found

"""In which order Vulkan runs the nodes of a split: what is independent comes together, what one shader does stays so.

ggml-vulkan.cpp:ggml_vk_graph_optimize of b11434. The order decides what is alive at one time, and so how large the
compute buffer is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from omniplan.llamacpp.build import Fusions
from omniplan.llamacpp.ggml.prepared import VIEW_OPS, Prepared
from omniplan.llamacpp.ggml.vulkan_runs import ADJACENT, EARLIER, GATED, GATES, INDEXED, NEAR, ROUTING, RUNS, Run
from omniplan.llamacpp.graph.node import FLAG_OUTPUT, Node, is_contiguous

# NUM_TO_CHECK: how far ahead of the first node that waits others are looked for.
_WINDOW: Final = 20
# How far behind a node the rest of what its shader does is looked for.
_REACH: Final = 15
_REACH_BEFORE: Final = 10


class Reorder:
    """Reorders the splits of Vulkan devices in ``order``, and fills ``keep`` (node -> tensors it outlives).

    ``keeps_runs``: norms, rotations and stores stay together, and what a run reads stays alive until it is done.
    ``sees_storage``: a node waits for all that touches the storage of what it reads or writes. ``joins_convolutions``:
    what follows a convolution runs with it.
    """

    keeps_runs = True
    sees_storage = True
    joins_convolutions = True

    def __init__(
        self,
        graph: Prepared,
        order: list[int],
        src: Sequence[tuple[int, ...]],
        origin: Sequence[int],
        keep: dict[int, list[int]],
        _: Fusions,
    ) -> None:
        self.known = RUNS if self.keeps_runs else EARLIER
        self.graph = graph
        self.op = graph.op
        self.n_nodes = graph.n_nodes
        self.order = order
        self.src = src
        self.origin = origin
        self.keep = keep
        self.is_view = [op in VIEW_OPS for op in graph.op]
        self.used = bytearray(graph.n_nodes)
        self.placed = bytearray(graph.n_nodes)
        self.start = self.end = 0
        self.waits: dict[int, list[int]] = {}

    def run(self, start: int, end: int) -> None:
        """Reorder one split."""
        self.start, self.end = start, end
        self.waits = self._dependencies()
        self.runs = self._find_runs()
        found: list[int] = []
        first = start
        while first < end:
            chosen = self._keep_run(first) or self._gather(first)
            for i in chosen:
                self.used[i] = self.placed[i] = 1
            found += chosen
            while first < end and self.used[first]:
                first += 1
        self.order[start:end] = found

    def _dependencies(self) -> dict[int, list[int]]:
        """By node, the nodes of the window before it that must run first (``is_src_of``)."""
        root = self.graph.root
        count = len(root)
        by_base: dict[int, list[int]] = {}
        by_read: dict[int, list[int]] = {}
        found = {}
        for j in range(self.start, self.end):
            oldest = j - _WINDOW
            base = root[j] if root[j] >= 0 else j
            reads = {root[s] if s < count and root[s] >= 0 else s for s in self.src[j]}
            waits = {s for s in self.src[j] if self.start <= s < j}
            waits.update(by_base.get(base, ()))
            if self.sees_storage and not self.is_view[j]:
                waits.update(c for b in reads for c in by_base.get(b, ()) if not self.is_view[c])
                waits.update(by_read.get(base, ()))
                for b in reads:
                    by_read.setdefault(b, []).append(j)
            by_base.setdefault(base, []).append(j)
            found[j] = [c for c in waits if c > oldest]
        return found

    def _find_runs(self) -> dict[int, list[Run]]:
        """Where one of the runs stands, by its first node, used or not."""
        starts: dict[str, list[Run]] = {}
        for run in self.known:
            starts.setdefault(run[0], []).append(run)
        found: dict[int, list[Run]] = {}
        for i in range(self.start, self.end):
            for run in starts.get(self.op[i], ()):
                if i + len(run) <= self.end and tuple(self.op[i : i + len(run)]) == run:
                    found.setdefault(i, []).append(run)
        return found

    def _matches(self, i: int) -> list[Run]:
        """The runs that begin at ``i`` and are whole."""
        return [run for run in self.runs.get(i, ()) if not any(self.used[i : i + len(run)])]

    def _keep_run(self, first: int) -> list[int]:
        """The nodes of the run that begins here, which stay together; none if there is no such run."""
        for run in self._matches(first):
            nodes = list(range(first, first + len(run)))
            if self.keeps_runs and (run in ROUTING or run is GATED):
                self._hold(nodes, run)
            return nodes
        return []

    def _hold(self, nodes: Sequence[int], run: Sequence[str]) -> None:
        """Keep what the nodes read from outside alive until the last, or a factor behind it."""
        last = nodes[-1]
        if run is not GATED and last + 1 < self.end and self.op[last + 1] == "SCALE":
            last += 1
        kept = self.keep.setdefault(last, [])
        seen: set[int] = set()
        for i in nodes:
            kept += [s for s in self.src[i] if s not in seen and s not in kept]
            seen.update((*self.src[i], i))

    def _gather(self, first: int) -> list[int]:
        """The first node that waits, and those of the window that wait for nothing else."""
        chosen = [first]
        window = range(first + 1, min(first + _WINDOW, self.end))
        for j in window:
            if self.used[j] or self.is_view[j] or self._is_in_run(j):
                continue
            if self._is_ready(j, first, chosen[-1]):
                chosen.append(j)
                self._pull(j, chosen)
        if self.op[chosen[-1]] != "ADD":
            taken = set(chosen)
            for j in window:
                if self.used[j] or not self.is_view[j]:
                    continue
                if all(self.used[c] or c in taken for c in self.waits[j] if c >= first):
                    chosen.append(j)
                    taken.add(j)
        return chosen

    def _is_in_run(self, j: int) -> bool:
        """Whether a run begins here, or the indexer's goes through here."""
        if self._matches(j):
            return True
        return any(INDEXED in self._matches(j - back) for back in range(1, len(INDEXED)) if j - back in self.runs)

    def _is_ready(self, j: int, first: int, last: int) -> bool:
        return all(c < first or self.used[c] or self._joins(c, j, last) for c in self.waits[j])

    def _joins(self, c: int, j: int, last: int) -> bool:
        """Whether one shader does node ``c``, the last one chosen, and ``j``."""
        pair = self.op[c], self.op[j]
        if c != last:
            return False
        if j == c + 1 and pair in ADJACENT:
            return self.joins_convolutions or pair[0] != "SSM_CONV"
        if not self.keeps_runs:
            return j == c + 1 and pair == ("RMS_NORM", "MUL")
        return pair in NEAR and all(self.used[v] or self.is_view[v] for v in range(c + 1, j))

    def _pull(self, j: int, chosen: list[int]) -> None:
        """Take along what the shader that ends in ``j`` does after it."""
        before, op = self.op[j - 1], self.op[j]
        end = j
        if (before, op) == ("RMS_NORM", "MUL") and (rope := self._rope(j)):
            self._take(chosen, rope)
            end = rope
        if self.op[end] == "ROPE" or (self.keeps_runs and self.op[end] == "RMS_NORM"):
            self._take(chosen, *self._stored(end))
        following = {("MUL_MAT_ID", "ADD_ID"): "MUL", ("MUL_MAT", "ADD"): "ADD"}.get((before, op))
        if following:
            self._take(chosen, *self._reader(j, following))
        if self.joins_convolutions and (before, op) == ("SSM_CONV", "ADD"):
            self._take(chosen, *[k for k in self._reach(j) if self.op[k] == "UNARY" and self.src[k][0] == j][:1])
        if self.keeps_runs and op == "UNARY":
            self._take(chosen, *self._gated(j))

    def _take(self, chosen: list[int], *nodes: int) -> None:
        for k in nodes:
            chosen.append(k)
            self.used[k] = 1

    def _reach(self, j: int) -> range:
        return range(j + 1, min(j + _REACH, self.end))

    def _is_given(self, s: int) -> bool:
        """Whether a source is no node of the graph, or a copy."""
        return s >= self.n_nodes

    def _rope(self, j: int) -> int:
        """The rotation of a norm's result that can run at once, or 0."""
        for k in self._reach(j):
            src = self.src[k]
            if self.op[k] == "ROPE" and src[0] == j and all(self._is_given(s) for s in src[1:3]):
                return k
        return 0

    def _reader(self, j: int, op: str) -> list[int]:
        """The node ``op`` that reads ``j`` first, and beside it what is given or done."""
        for k in self._reach(j):
            if self.op[k] == op and self.src[k][0] == j and self._is_done(self.src[k][1]):
                return [k]
        return []

    def _is_done(self, s: int) -> bool:
        return self._is_given(s) or s < self.start or bool(self.placed[s])

    def _stored(self, end: int) -> list[int]:
        """The view of ``end`` and the rows of a cache that are set from it, where nothing else reads either."""
        view = rows = 0
        for k in self._reach(end) if self.keeps_runs else self._reach(end)[: _REACH_BEFORE - 1]:
            if self.keeps_runs and self.used[k]:
                continue
            if not view and self.op[k] == "VIEW" and self.src[k][0] == end:
                view = k
            elif view and self.op[k] == "SET_ROWS" and self.src[k][0] == view:
                rows = k
                break
        return [view, rows] if rows and (not self.keeps_runs or self._can_store(end, view, rows)) else []

    def _can_store(self, end: int, view: int, rows: int) -> bool:
        if not (self._is_private(end) and self._is_private(view)):
            return False
        return all(self.used[c] or self.is_view[c] for c in self.waits[rows] if end < c < rows and c != view)

    def _is_private(self, i: int) -> bool:
        """Whether the next node of its run is all that reads it (ggml.c:ggml_can_fuse_subgraph_ext)."""
        return self.graph.uses[i] == 1 and not self.graph.tensors[i].flags & FLAG_OUTPUT

    def _gated(self, j: int) -> list[int]:
        """The product with an activation, where one shader does both (``ggml_vk_can_fuse_unary_mul``)."""
        for k in self._reach(j):
            if self.op[k] != "MUL" or j not in self.src[k]:
                continue
            is_first = self.src[k][0] == j
            other = self.src[k][1 if is_first else 0]
            if self._is_done(other) and self._multiplies(j, k, other, is_first=is_first):
                return [k]
        return []

    def _multiplies(self, j: int, k: int, other: int, *, is_first: bool) -> bool:
        gate, product, factor = (self._is(i) for i in (j, k, other))
        if gate.op not in GATES or not gate.type is product.type is factor.type:
            return False
        if not (is_contiguous(factor, free=1) and is_contiguous(self._is(self.src[j][0]), free=1)):
            return False
        small, large = (factor, gate) if is_first else (gate, factor)
        return all(n and not m % n for n, m in zip(small.ne, large.ne, strict=True))

    def _is(self, tensor: int) -> Node:
        """The node of a tensor; of a copy, the node with its layout."""
        tensors = self.graph.tensors
        return tensors[tensor] if tensor < len(tensors) else tensors[self.origin[tensor - len(tensors)]]


class Unkept(Reorder):
    """As builds had it that kept only the choice of experts together."""

    keeps_runs = False


class Unseen(Unkept):
    """As builds had it that did not look at storage."""

    sees_storage = False


class Unjoined(Unseen):
    """As builds had it that did not join convolutions."""

    joins_convolutions = False

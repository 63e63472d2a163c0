"""What scheduling and allocation need of a graph that no placement changes: numbers, users, support, sizes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from omniplan.llamacpp.ggml.backend import Backend, Device
from omniplan.llamacpp.ggml.buffers import BufferType
from omniplan.llamacpp.graph.node import FLAG_INPUT, FLAG_OUTPUT, SLOTS, WEIGHT, Node

# ggml-backend.cpp:ggml_is_view_op, the ops that take no place in a split.
VIEW_OPS: Final = frozenset(("VIEW", "RESHAPE", "PERMUTE", "TRANSPOSE"))
# ggml-alloc.c:ggml_op_can_inplace
_INPLACE: Final = frozenset(
    "FILL SCALE DIAG_MASK_ZERO DIAG_MASK_INF ADD ADD_ID ADD1 SUB MUL DIV SQR SQRT LOG UNARY ROPE ROPE_BACK SILU_BACK "
    "RMS_NORM RMS_NORM_BACK CLAMP SOFT_MAX SOFT_MAX_BACK".split()
)
# ggml-backend.cpp:ggml_backend_sched_backend_id_from_cur: their weights are too small to decide.
_IGNORES_WEIGHTS: Final = frozenset(("ROPE", "FLASH_ATTN_EXT"))
# llama-context.cpp:graph_get_cb, the names whose tensors go to the device of their layer.
_PINNED_NAMES: Final = ("norm", "l_last")


def same_layout(a: Node, b: Node) -> bool:
    """Whether one tensor can take the place of the other (ggml-impl.h:ggml_are_same_layout)."""
    return a.ne == b.ne and a.nb == b.nb and a.type is b.type


def reuses(op: str) -> bool:
    """Whether the result of ``op`` may lie where one of its sources was."""
    return op in _INPLACE


def leafs_of(nodes: Sequence[Node]) -> list[Node]:
    """Sources that no node computes, in the order a walk over ``nodes`` meets them."""
    seen = set(map(id, nodes))
    leafs: list[Node] = []
    for node in nodes:
        for src in node.src:
            if id(src) not in seen:
                seen.add(id(src))
                leafs.append(src)
    return leafs


class Prepared:
    """A numbered graph: its nodes in order, then its leafs; every list is indexed by that number.

    ``leafs`` should be in the order llama.cpp meets them; their order only matters for the host's buffer.
    ``on_cpu`` are nodes that llama.cpp pins to the CPU; a node named "norm" or "l_last" is pinned to its layer ``il``,
    and so are those in ``looked_up``, which find experts in the GPUs' cache.
    """

    __slots__ = (
        "__weakref__", "_offloads", "_sizes", "_supported", "fuses", "home_sources", "homed", "inputs", "late",
        "live", "looked_up", "n_nodes", "namesakes", "on_cpu", "op", "outputs", "pinned", "root", "rooted", "src",
        "tensors", "twins", "uses", "views", "weighted", "weights", "work",
    )  # fmt: skip

    def __init__(self, nodes: Sequence[Node], leafs: Sequence[Node] | None = None, on_cpu: Iterable[Node] = ()) -> None:
        self.n_nodes = len(nodes)
        self.tensors = [*nodes, *(leafs_of(nodes) if leafs is None else leafs)]
        self._number()
        held = set(map(id, on_cpu))
        self.on_cpu = [i for i in range(self.n_nodes) if id(self.tensors[i]) in held]
        self._find_weights()
        self._count()
        self._supported: dict[Backend, list[bool]] = {}
        self._offloads: dict[tuple[Backend, int | None], dict[int, bool]] = {}
        self._sizes: dict[tuple[Backend, BufferType, int], list[int]] = {}

    def _number(self) -> None:
        """Replace references by numbers: sources, roots of views, leafs with a home."""
        number = {id(node): i for i, node in enumerate(self.tensors)}
        get = number.__getitem__
        self.src = [tuple([get(id(s)) for s in node.src]) for node in self.tensors]
        self.root = [-1 if node.view_src is None else get(id(node.view_src)) for node in self.tensors]
        self.op = [node.op.partition(":")[0] for node in self.tensors]
        self.homed = [i for i, node in enumerate(self.tensors) if node.home is not None]
        at_home = set(self.homed)
        self.rooted = [i for i, root in enumerate(self.root) if root in at_home]
        self.live = [tuple([s for s in src if s not in at_home]) for src in self.src]
        self.work = [i for i in range(self.n_nodes) if self.op[i] not in VIEW_OPS]
        self.inputs = [i for i, node in enumerate(self.tensors) if node.flags & FLAG_INPUT]
        self.outputs = [i for i, node in enumerate(self.tensors) if node.flags & FLAG_OUTPUT]
        self.pinned = [
            (i, node.il) for i, node in enumerate(self.tensors) if node.name in _PINNED_NAMES and node.il >= 0
        ]
        self.looked_up = [(i, node.il) for i, node in enumerate(self.tensors) if node.name == SLOTS]
        self.late = self._find_late()
        self.namesakes = self._find_namesakes()
        self.home_sources = [
            tuple([s for s in src if s in at_home]) if len(live) < len(src) else ()
            for src, live in zip(self.src, self.live, strict=True)
        ]

    def _find_late(self) -> list[int]:
        """Nodes that may have no backend, or a source without one, when all others have theirs."""
        loose = {i for i in range(self.n_nodes, len(self.tensors)) if self.tensors[i].home is None}
        return [i for i in range(self.n_nodes) if self.op[i] in VIEW_OPS or not loose.isdisjoint(self.src[i])]

    def _find_namesakes(self) -> list[list[int]]:
        """Leafs that are one tensor of the file, and one tensor in memory where they share a buffer type."""
        by_name: dict[str, list[int]] = {}
        for i in self.homed:
            if self.tensors[i].home == WEIGHT:
                by_name.setdefault(self.tensors[i].name, []).append(i)
        return [group for group in by_name.values() if len(group) > 1]

    def _find_weights(self) -> None:
        """Find the weights of each node, and the nodes that go where their weight is."""
        tensors = self.tensors
        self.weights = [
            tuple([s for s in homes if tensors[s].home == WEIGHT]) if homes else () for homes in self.home_sources
        ]
        self.weighted = [
            (i, self.weights[i][0]) for i in self.work if self.weights[i] and self.op[i] not in _IGNORES_WEIGHTS
        ]
        self.fuses = "MUL_MAT_ID" in self.op

    def _count(self) -> None:
        """Count users and views, and find the sources each node could overwrite."""
        tensors = self.tensors
        self.uses = [0] * len(tensors)
        self.views = [0] * len(tensors)
        for i in range(self.n_nodes):
            for s in self.src[i]:
                self.uses[s] += 1
            if self.root[i] >= 0:
                self.views[self.root[i]] += 1
        self.twins = [
            tuple([s for s in live if same_layout(tensors[s], node)]) if op in _INPLACE else ()
            for live, node, op in zip(self.live, tensors, self.op, strict=True)
        ]

    def supported(self, backend: Backend) -> list[bool]:
        """Which nodes ``backend`` has a kernel for."""
        known = self._supported.get(backend)
        if known is None:
            known = self._supported[backend] = [backend.supports(node) for node in self.tensors[: self.n_nodes]]
        return known

    def offloads(self, backend: Backend, asked: int | None = None) -> dict[int, bool]:
        """Which nodes with a weight ``backend`` asks for when that lies in RAM, from a batch of ``asked`` on."""
        known = self._offloads.get((backend, asked))
        if known is None:
            known = {i: backend.offloads(self.tensors[i], asked) for i, _ in self.weighted}
            self._offloads[backend, asked] = known
        return known

    def sizes(self, device: Device) -> list[int]:
        """Aligned bytes each tensor takes on ``device``; -1 for views and for tensors that live elsewhere."""
        key = device.backend, device.memory, device.capability
        known = self._sizes.get(key)
        if known is None:
            known = [device.size(n) if n.home is None and n.view_src is None else -1 for n in self.tensors]
            self._sizes[key] = known
        return known

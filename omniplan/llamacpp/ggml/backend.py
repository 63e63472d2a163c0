"""What a back end of ggml answers: its memory, and which nodes it runs, wants and reorders (ggml-backend-impl.h)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Protocol

from omniplan.llamacpp.build import Fusions
from omniplan.llamacpp.ggml.buffers import BufferType
from omniplan.llamacpp.graph.node import Node
from omniplan.units import pad

if TYPE_CHECKING:
    from omniplan.llamacpp.ggml.prepared import Prepared


class Optimizer(Protocol):
    """What a back end does to its splits of one graph before they are allocated (``graph_optimize``)."""

    def __init__(
        self,
        graph: Prepared,
        order: list[int],
        src: Sequence[tuple[int, ...]],
        origin: Sequence[int],
        keep: dict[int, list[int]],
        fusions: Fusions,
    ) -> None: ...

    def run(self, start: int, end: int) -> None:
        """Handle one split: reorder its nodes in ``order``, and fill ``keep`` (node -> tensors it outlives)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Backend:
    """One back end, compared by identity.

    ``memory`` is that of its devices, ``host`` the RAM from which they copy fastest, None where there is no such thing.
    ``supports`` says whether there is a kernel for a node, wherever its sources are; ``scratch`` are the bytes that a
    node keeps behind its result on a device of some compute capability. ``offload_batch`` is how many rows of work make
    a device ask for a node whose weight lies in RAM, None for never, and ``reads_min_batch`` whether the environment
    may say another number; ``offload_ops`` are the only operations that it asks for, all where empty. ``pipelines``: it
    is asynchronous and has events, from build ``pipelines_since`` on. ``in_place``: weights are read where the mapped
    file lies. ``reads_per_head``: attention of one token reads a quantised cache once per query head.
    ``integrated_maps``: files are mapped with an integrated device in use too.
    """

    name: str
    memory: BufferType
    host: BufferType | None = None
    supports: Callable[[Node], bool]
    scratch: Callable[[Node, int], int]
    offload_batch: int | None = None
    reads_min_batch: bool = False
    offload_ops: frozenset[str] = frozenset()
    optimizer: type[Optimizer] | None = None
    pipelines: bool = False
    pipelines_since: int = 0
    in_place: bool = False
    reads_per_head: bool = False
    integrated_maps: bool = False

    def least_batch(self, asked: int | None) -> float:
        """Rows of work from which it asks for nodes whose weight lies in RAM, where the environment says ``asked``."""
        if self.offload_batch is None:
            return inf
        return self.offload_batch if asked is None or not self.reads_min_batch else asked

    def offloads(self, node: Node, asked: int | None = None) -> bool:
        """Whether a device asks for a node whose weight lies in RAM (``offload_op``)."""
        if batch(node) < self.least_batch(asked):
            return False
        return not self.offload_ops or node.op.partition(":")[0] in self.offload_ops


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Something that runs nodes, and keeps their results in ``buffer``, which is ``memory``.

    ``capability`` is 890 for sm_89, 0 where it means nothing. ``members`` are the devices that one of several spreads
    its work over.
    """

    name: str
    backend: Backend
    buffer: str
    memory: BufferType
    capability: int = 0
    members: tuple[Device, ...] = ()

    @property
    def parts(self) -> tuple[Device, ...]:
        """The devices that hold its bytes: its members, or itself."""
        return self.members or (self,)

    def alloc_size(self, node: Node) -> int:
        """Bytes of the result of ``node`` and what lies behind it."""
        return self.memory.alloc_size(node.type, node.ne[0], node.nbytes) + self.backend.scratch(node, self.capability)

    def size(self, node: Node) -> int:
        """The same, aligned."""
        return pad(self.alloc_size(node), self.memory.alignment)

    def copy_size(self, node: Node) -> int:
        """Aligned bytes of a tensor with the layout of ``node`` and no operation of its own."""
        return self.memory.size(node.type, node.ne[0], node.nbytes)


def batch(node: Node) -> int:
    """Rows of work that decide whether a node is offloaded (ggml-cuda.cu:get_op_batch_size)."""
    match node.op:
        case "GET_ROWS":
            return 0
        case "MUL_MAT":
            return node.ne[1]
        case "MUL_MAT_ID" | "ROPE" | "ROPE_BACK":
            return node.ne[2]
    return node.ne[1] * node.ne[2] * node.ne[3]

"""Nodes of a computation graph: only what scheduling and allocation can see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from omniplan.domain.tensor_type import TensorType

FLAG_INPUT: Final = 1
FLAG_OUTPUT: Final = 2

# Where a leaf's bytes live before the graph runs; None means the graph allocates it.
WEIGHT: Final = "weight"
CACHE: Final = "cache"
ADAPTER: Final = "adapter"

# How the leafs of the cache of experts begin: a layer's banks on its GPU, and in RAM the slot of each expert in them.
EXPERT_BANK: Final = "moe_cache.blk."
SLOT_MAP: Final = "moe_cache.slot_map-"
# The node that looks up slots; the scheduler is told to run it on the device of its layer.
SLOTS: Final = "ffn_moe_slots"

Dims = tuple[int, int, int, int]


class Node:
    """One tensor of a graph, as ``ggml_tensor``: ``ne`` elements and ``nb`` byte strides, fastest dimension first.

    A leaf has ``op`` "NONE". ``home`` is ``WEIGHT`` (``name`` is the tensor's name in the file), ``ADAPTER`` (that of
    the weight it adds to; the scheduler takes it for no weight), ``CACHE`` (``il`` is the layer whose device holds it)
    or None. ``view_src`` is the root of a chain of views, as ggml keeps it.
    """

    __slots__ = ("flags", "home", "il", "name", "nb", "ne", "offset", "op", "src", "type", "view_src")

    def __init__(
        self,
        op: str,
        type: TensorType,
        ne: Dims,
        nb: Dims,
        src: Sequence[Node] = (),
        *,
        view_src: Node | None = None,
        offset: int = 0,
        flags: int = 0,
        name: str = "",
        home: str | None = None,
        il: int = -1,
    ) -> None:
        self.op = op
        self.type = type
        self.ne = ne
        self.nb = nb
        self.src = src
        self.view_src = view_src
        self.offset = offset
        self.flags = flags
        self.name = name
        self.home = home
        self.il = il

    @property
    def nbytes(self) -> int:
        """Bytes spanned, strides included (``ggml_nbytes``)."""
        ne, nb, kind = self.ne, self.nb, self.type
        if 0 in ne:
            return 0
        if kind.block == 1:
            return kind.size + (ne[0] - 1) * nb[0] + (ne[1] - 1) * nb[1] + (ne[2] - 1) * nb[2] + (ne[3] - 1) * nb[3]
        return ne[0] * nb[0] // kind.block + (ne[1] - 1) * nb[1] + (ne[2] - 1) * nb[2] + (ne[3] - 1) * nb[3]

    def __repr__(self) -> str:
        return f"Node({self.op} {self.type.name} {list(self.ne)} {self.name!r})"


class AdaptedWeight(Node):
    """A weight that adapters of low rank add to: the two factors of each, A and B (``llama_adapter_lora_weight``)."""

    __slots__ = ("factors",)

    factors: tuple[tuple[Node, Node], ...]


def strides(kind: TensorType, ne: Dims) -> Dims:
    """Byte strides of a contiguous tensor."""
    nb0 = kind.size
    nb1 = ne[0] // kind.block * nb0
    nb2 = nb1 * ne[1]
    return nb0, nb1, nb2, nb2 * ne[2]


def is_contiguous(node: Node, free: int = 0) -> bool:
    """Whether elements lie without gaps, strides of the first ``free`` outer dimensions ignored.

    ggml.c:ggml_is_contiguous, _1 and _2 for ``free`` 0, 1 and 2.
    """
    ne, nb, kind = node.ne, node.nb, node.type
    if ne[0] != kind.block and nb[0] != kind.size:
        return False
    expected = kind.size * ne[0] // kind.block
    for dim in (1, 2, 3):
        if ne[dim] == 1:
            continue
        if dim > free and nb[dim] != expected:
            return False
        expected = (expected if dim > free else nb[dim]) * ne[dim]
    return True


def has_contiguous_rows(node: Node) -> bool:
    """ggml.c:ggml_is_contiguous_rows."""
    return node.ne[0] == node.type.block or node.nb[0] == node.type.size

"""Small graphs by hand: weights, caches, inputs and the operations between them, all f32 unless told otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from omniplan.domain.params import DEFAULT_BUILD
from omniplan.domain.tensor_type import TYPE_BY_NAME
from omniplan.llamacpp.build import Fusions, known
from omniplan.llamacpp.ggml.schedule import Backend, Homes
from omniplan.llamacpp.graph.node import CACHE, FLAG_INPUT, WEIGHT, Dims, Node, strides

GPU0 = Backend(name="CUDA0", buffer="CUDA0", capability=890)
GPU1 = Backend(name="CUDA1", buffer="CUDA1", capability=890)
FUSIONS = known(DEFAULT_BUILD).fusions
HOST = Backend(name="CPU", buffer="CUDA_Host")


def tensor(op: str, shape: Sequence[int], *src: Node, kind: str = "f32", name: str = "") -> Node:
    """A contiguous result of ``op``."""
    a, b, c, d = (*shape, 1, 1, 1)[:4]
    ne: Dims = (a, b, c, d)
    return Node(op, TYPE_BY_NAME[kind], ne, strides(TYPE_BY_NAME[kind], ne), src, name=name)


def weight(name: str, *shape: int, kind: str = "f32") -> Node:
    """A tensor of the file."""
    node = tensor("NONE", shape, kind=kind, name=name)
    node.home = WEIGHT
    return node


def cache(name: str, *shape: int, kind: str = "f16") -> Node:
    """A cache tensor."""
    node = tensor("NONE", shape, kind=kind, name=name)
    node.home = CACHE
    return node


def given(name: str, *shape: int, kind: str = "f32") -> Node:
    """An input the host fills."""
    node = tensor("NONE", shape, kind=kind, name=name)
    node.flags = FLAG_INPUT
    return node


def view(of: Node, op: str = "VIEW", shape: Sequence[int] | None = None, offset: int = 0) -> Node:
    """A view of ``of``, by default all of it."""
    node = tensor(op, shape or of.ne, of, kind=of.type.name)
    node.view_src, node.offset = of.view_src or of, offset
    return node


def homes(
    where: Mapping[str, str],
    *backends: Backend,
    op_offload: bool = True,
    n_copies: int = 1,
    fusions: Fusions = FUSIONS,
) -> Homes:
    """A placement that says where each tensor lives by name."""
    return Homes(
        backends=backends,
        home=lambda node: where[node.name],
        fusions=fusions,
        layers=range(8),
        op_offload=op_offload,
        n_copies=n_copies,
    )

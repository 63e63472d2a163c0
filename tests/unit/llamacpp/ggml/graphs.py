"""Small graphs by hand: weights, caches, inputs and the operations between them, all f32 unless told otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from omniplan.domain.defaults import DEFAULT_BUILD
from omniplan.domain.tensor_type import TYPE_BY_NAME
from omniplan.llamacpp.build import Build, Fusions, known
from omniplan.llamacpp.ggml.backend import Device
from omniplan.llamacpp.ggml.cpu import CPU
from omniplan.llamacpp.ggml.cuda import CUDA
from omniplan.llamacpp.ggml.cuda import HOST as HOST_MEMORY
from omniplan.llamacpp.ggml.schedule import Homes
from omniplan.llamacpp.graph.node import CACHE, FLAG_INPUT, WEIGHT, Dims, Node, strides

FUSIONS = known(DEFAULT_BUILD).fusions


def gpu(name: str, capability: int = 890) -> Device:
    """A CUDA device."""
    return Device(name=name, backend=CUDA, buffer=name, memory=CUDA.memory, capability=capability)


def cpu(*, is_pinned: bool = True) -> Device:
    """The CPU, with a device beside it whose pinned memory it writes to, or without."""
    memory = HOST_MEMORY if is_pinned else CPU.memory
    return Device(name="CPU", backend=CPU, buffer=memory.name, memory=memory)


GPU0, GPU1, HOST = gpu("CUDA0"), gpu("CUDA1"), cpu()


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
    *devices: Device,
    op_offload: bool = True,
    n_copies: int = 1,
    fusions: Fusions = FUSIONS,
) -> Homes:
    """A placement that says where each tensor lives by name."""
    return Homes(
        devices=devices,
        home=lambda node: where[node.name],
        build=Build(number=0, fusions=fusions),
        layers=range(8),
        op_offload=op_offload,
        n_copies=n_copies,
    )

"""CUDA's hook on each split of the library's graph: our fusion rules, applied to its own tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from omniplan.audit.certify.tensors import Tensors
from omniplan.domain.tensor_type import TYPE_BY_NAME
from omniplan.llamacpp.fusion import Fuser
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.prepared import Prepared

_WORD: Final = 32  # bits of ggml's bitset words


def optimize(tensors: Tensors, graph: Any, add_dependency: Any) -> None:
    """Reorder the nodes of ``graph`` and tie tensors, as the CUDA backend does before it is allocated.

    ``add_dependency`` takes a tensor and the node it must outlive. The node after the split may be one of those: CUDA's
    rules look at it through the array that all splits share.
    """
    count = graph.n_nodes
    pointers = [graph.nodes[i] for i in range(count)]
    nodes, known = _nodes(tensors, pointers)
    own = set(map(id, nodes))
    prepared = Prepared(nodes, [node for node in known.values() if id(node) not in own])
    address = {id(node): pointer for pointer, node in known.items()}
    for i in range(count):
        prepared.uses[i] = _uses(tensors.ffi, graph, pointers[i])
    order, keep = list(range(count + 1)), dict[int, list[int]]()
    fuser = Fuser(prepared, order, prepared.src, (), keep)
    fuser.run(0, count)
    for i, number in enumerate(order[:count]):
        graph.nodes[i] = pointers[number]
    for until, held in keep.items():
        last = graph.nodes[count] if until == count else pointers[until]
        for number in held:
            add_dependency(tensors.ffi.cast("tensor_t", address[id(prepared.tensors[number])]), last)


def _nodes(tensors: Tensors, pointers: list[Any]) -> tuple[list[Node], dict[int, Node]]:
    """The split's nodes with their sources, one more that stands for what follows it, and all of them by address."""
    known: dict[int, Node] = {}
    nodes = [tensors.leaf(pointer, known) for pointer in pointers]
    for pointer, node in zip(pointers, nodes, strict=True):
        node.src = tensors.sources_of(pointer, known)
        for src in tensors.sources(tensors.fields(pointer)):
            # A reshape that an earlier split ends with is looked through.
            known_src = tensors.leaf(src, known)
            if known_src.op == "RESHAPE" and not known_src.src:
                known_src.src = tensors.sources_of(src, known)
    return [*nodes, Node("NEXT", TYPE_BY_NAME["f32"], (1, 1, 1, 1), (4, 4, 4, 4))], known


def _uses(ffi: Any, graph: Any, pointer: Any) -> int:
    """How often a node is used in the whole graph (ggml-impl.h: ggml_node_get_use_count)."""
    for slot in _probe(int(ffi.cast("uintptr_t", pointer)), graph.visited.size):
        if not graph.visited.used[slot // _WORD] >> slot % _WORD & 1:
            return 0
        if graph.visited.keys[slot] == pointer:
            return int(graph.use_counts[slot])
    return 0


def _probe(address: int, size: int) -> Iterator[int]:
    first = (address >> 4) % size
    yield from range(first, size)
    yield from range(first)

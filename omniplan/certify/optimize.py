"""A back end's hook on each split of the library's graph: our rules of it, applied to its own tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from omniplan.certify.tensors import Tensors
from omniplan.domain.tensor_type import TYPE_BY_NAME
from omniplan.llamacpp.build import Fusions
from omniplan.llamacpp.ggml.backend import Backend
from omniplan.llamacpp.ggml.prepared import Prepared
from omniplan.llamacpp.graph.node import Node

_WORD: Final = 32  # bits of ggml's bitset words


def optimize(
    tensors: Tensors, graph: Any, backend: Backend, fusions: Fusions, add_dependency: Callable[[Any, Any], None]
) -> None:
    """Reorder the nodes of ``graph`` and tie tensors, as ``backend`` does before it is allocated.

    ``add_dependency`` takes a tensor and the node it must outlive. The node after the split may be one of those: CUDA's
    rules look at it through the array that all splits share.
    """
    if backend.optimizer is None:
        return
    count = graph.n_nodes
    addresses = [tensors.address(pointer) for pointer in graph.nodes[0:count]]
    nodes, known = _nodes(tensors, addresses)
    own = set(map(id, nodes))
    prepared = Prepared(nodes, [node for node in known.values() if id(node) not in own])
    prepared.uses[:count] = _uses(tensors, graph, addresses)
    # Experts may lie in another split than what is made of their results.
    prepared.fuses = True
    order, keep = list(range(count + 1)), dict[int, list[int]]()
    backend.optimizer(prepared, order, prepared.src, (), keep, fusions).run(0, count)
    for i, number in enumerate(order[:count]):
        if i != number:
            graph.nodes[i] = tensors.pointer(addresses[number])
    place = {id(node): address for address, node in known.items()}
    for until, held in keep.items():
        last = graph.nodes[count] if until == count else tensors.pointer(addresses[until])
        for number in held:
            add_dependency(tensors.pointer(place[id(prepared.tensors[number])]), last)


def _nodes(tensors: Tensors, addresses: Sequence[int]) -> tuple[list[Node], dict[int, Node]]:
    """The split's nodes with their sources, one more that stands for what follows it, and all of them by address."""
    known: dict[int, Node] = {}
    nodes = [tensors.leaf(address, known) for address in addresses]
    for address, node in zip(addresses, nodes, strict=True):
        node.src = tensors.sources_of(address, known)
    # A reshape that an earlier split ends with is looked through.
    for address, node in list(known.items()):
        if node.op == "RESHAPE" and not node.src:
            node.src = tensors.sources_of(address, known)
    return [*nodes, Node("NEXT", TYPE_BY_NAME["f32"], (1, 1, 1, 1), (4, 4, 4, 4))], known


def _uses(tensors: Tensors, graph: Any, addresses: Sequence[int]) -> list[int]:
    """How often each node is used in the whole graph (ggml-impl.h: ggml_node_get_use_count)."""
    table, counts = graph.visited, graph.use_counts
    size, used, keys = table.size, table.used, table.keys
    found = []
    for address in addresses:
        slots = (i for i in _probe(address, size) if tensors.address(keys[i]) == address or not _is_set(used, i))
        slot = next(slots, -1)
        found.append(int(counts[slot]) if slot >= 0 and _is_set(used, slot) else 0)
    return found


def _is_set(bits: Any, i: int) -> bool:
    return bool(bits[i // _WORD] >> i % _WORD & 1)


def _probe(address: int, size: int) -> Iterator[int]:
    first = (address >> 4) % size
    yield from range(first, size)
    yield from range(first)

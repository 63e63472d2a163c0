"""Which nodes one kernel of Metal computes: patterns of operations (ggml-metal-fusion.cpp of b11434)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from omniplan.domain.tensor_type import TYPE_BY_NAME
from omniplan.llamacpp.ggml.prepared import Prepared, same_layout
from omniplan.llamacpp.graph.node import FLAG_OUTPUT, WEIGHT, Node, has_contiguous_rows, is_contiguous

# ggml-impl.h: ggml_op_is_empty
EMPTY: Final = frozenset("NONE RESHAPE VIEW PERMUTE TRANSPOSE".split())
_LONGEST: Final = 16  # ggml-metal-fusion.h: GGML_METAL_FUSION_MAX
_MOST_EXPERTS: Final = 1024  # GGML_METAL_TOPK_MOE_MAX_EXPERTS
_F32: Final = TYPE_BY_NAME["f32"]
# ggml-metal-common.cpp: ggml_metal_mul_mv_mma_type_supported
_SMALL_PRODUCTS: Final = frozenset(
    TYPE_BY_NAME[name] for name in "f32 f16 q4_0 q4_1 q5_0 q5_1 q8_0 q4_K q5_K q6_K".split()
)
_CHAINED: Final = frozenset("ADD MUL NORM RMS_NORM".split())
_CHAIN_STARTS: Final = frozenset("ADD NORM RMS_NORM".split())

_CHOICE: Final = ("SOFT_MAX", "RESHAPE", "ARGSORT", "VIEW", "GET_ROWS")
_NORMED: Final = (*_CHOICE, "RESHAPE", "SUM_ROWS", "CLAMP", "DIV", "RESHAPE")
_CHOICES: Final = (_CHOICE, (*_CHOICE, "SCALE"), _NORMED, (*_NORMED, "SCALE"))
_SUMS: Final = tuple(("MUL", *["VIEW"] * n, *["ADD"] * (n - 1)) for n in range(2, 9))
_DELTA: Final = ("GATED_DELTA_NET", "CPY")
_NORMS: Final = tuple((norm, *rest) for norm in ("NORM", "RMS_NORM") for rest in (("MUL",), ("MUL", "ADD"), ("SCALE",)))
_ADDS: Final = tuple(("ADD",) * n for n in range(2, 8))
_PATTERNS: Final = (
    *_NORMS, *_ADDS, _DELTA, *_CHOICES, *_SUMS, ("SSM_CONV", "UNARY"), ("MUL_MAT", "ADD"),
)  # fmt: skip
_BY_FIRST: Final = {first: [p for p in _PATTERNS if p[0] == first] for first in {p[0] for p in _PATTERNS}}


def tied(op: Sequence[str], nodes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last position of every run whose operations are those of a pattern, whatever it reads."""
    kinds = [op[node] for node in nodes]
    i = 0
    while i < len(kinds):
        fitting = [p for p in _BY_FIRST.get(kinds[i], ()) if tuple(kinds[i : i + len(p)]) == p]
        length = max(map(len, fitting), default=1)
        if length > 1:
            yield i, i + length - 1
        i += length


class Runs:
    """Finds runs in the nodes of a split; ``src`` are sources after copies took their place.

    ``lengths`` are those that are known: by first node the length, and how many nodes behind it decide about that.
    """

    def __init__(
        self,
        graph: Prepared,
        src: Sequence[tuple[int, ...]],
        origin: Sequence[int],
        lengths: dict[int, tuple[int, int]],
    ) -> None:
        self.lengths = lengths
        self.graph = graph
        self.op = graph.op
        self.src = src
        self.origin = origin

    def spans(self, nodes: Sequence[int]) -> Iterator[tuple[int, int]]:
        """First position of every run, and the one after its last."""
        i = 0
        while i < len(nodes):
            length = self.length(nodes, i)
            yield i, i + length
            i += length

    def length(self, nodes: Sequence[int], at: int) -> int:
        """Nodes from ``at`` on that move together."""
        raise NotImplementedError

    def node(self, tensor: int) -> Node:
        """The node of a tensor; of a copy, the node with its layout."""
        base = len(self.graph.tensors)
        return self.graph.tensors[tensor] if tensor < base else self.graph.tensors[self.origin[tensor - base]]


class Chains(Runs):
    """Before b10941: sums and norms, each of the one before it."""

    def length(self, nodes: Sequence[int], at: int) -> int:
        """The longest chain of sums, products and norms from ``at`` on."""
        if self.op[nodes[at]] not in _CHAIN_STARTS:
            return 1
        end = at + 1
        while end < min(len(nodes), at + _LONGEST) and self.op[nodes[end]] in _CHAINED:
            end += 1
        while end > at + 1 and not self._is_chain(nodes[at:end]):
            end -= 1
        return end - at

    def _is_chain(self, nodes: Sequence[int]) -> bool:
        """ggml-impl.h: ggml_can_fuse."""
        tensors = self.graph.tensors
        for before, node in itertools.pairwise(nodes):
            if before not in self.src[node][:2] or tensors[node].ne != tensors[before].ne:
                return False
            if self.graph.uses[before] != 1 or tensors[before].view_src or tensors[before].flags & FLAG_OUTPUT:
                return False
        return True


class Patterns(Runs):
    """Since b10941: the table of patterns, one behind the other."""

    def __init__(
        self,
        graph: Prepared,
        src: Sequence[tuple[int, ...]],
        origin: Sequence[int],
        lengths: dict[int, tuple[int, int]],
    ) -> None:
        super().__init__(graph, src, origin, lengths)
        chains: dict[tuple[str, ...], Callable[[Sequence[int]], bool]] = {
            **dict.fromkeys(_NORMS, self._is_norm),
            **dict.fromkeys(_ADDS, self._is_sum),
            ("SSM_CONV", "UNARY"): self._is_convolution,
            ("MUL_MAT", "ADD"): self._is_product,
        }
        self._chains = chains

    def length(self, nodes: Sequence[int], at: int) -> int:
        """ggml_metal_fusion_max: as many patterns as fit, views between their nodes included."""
        if self.op[nodes[at]] in EMPTY:
            return 1
        length, seen = self.lengths.get(nodes[at], (0, len(nodes)))
        if length and at + seen <= len(nodes):
            return length
        work: list[int] = []
        for position in range(at, len(nodes)):
            if self.op[nodes[position]] not in EMPTY:
                work.append(position)
                if len(work) == _LONGEST:
                    break
        done = 0
        while done < len(work) and (count := self._next(nodes, work, done)) > 1 and done + count <= _LONGEST:
            done += count
        length = min(_LONGEST, work[done - 1] - at + 1) if done else 1
        if len(work) == _LONGEST:
            self.lengths[nodes[at]] = length, work[-1] - at + 1
        return length

    def _next(self, nodes: Sequence[int], work: Sequence[int], at: int) -> int:
        """Working nodes of the longest pattern that begins there, 1 without any."""
        best = 1
        first = work[at]
        for pattern in _BY_FIRST.get(self.op[nodes[first]], ()):
            ops = tuple(op for op in pattern if op not in EMPTY)
            if len(ops) <= best or at + len(ops) > len(work):
                continue
            positions = work[at : at + len(ops)]
            found = [nodes[position] for position in positions]
            if tuple(self.op[node] for node in found) != ops:
                continue
            check = self._chains.get(pattern)
            if check:
                fits = self._is_linked(found) and check(found)
            elif pattern == _DELTA:
                fits = self._is_stored_delta(*found)
            else:
                fits = self._is_whole(pattern, nodes[first : first + len(pattern)], positions[-1] - first)
            if fits:
                best = len(ops)
        return best

    def _is_linked(self, found: Sequence[int]) -> bool:
        """Each of one shape, read by the next and by nobody else (ggml_can_fuse_subgraph_ext)."""
        tensors = self.graph.tensors
        for before, node in itertools.pairwise(found):
            if before not in self.src[node][:2] or tensors[node].ne != tensors[before].ne:
                return False
        return all(self._is_inner(node, found) for node in found[:-1])

    def _is_inner(self, node: int, found: Sequence[int]) -> bool:
        """Whether nothing outside of ``found`` sees ``node``."""
        tensor, root = self.graph.tensors[node], self.graph.root[node]
        if tensor.flags & FLAG_OUTPUT:
            return False
        if root >= 0 and root not in found and self.graph.tensors[root].home != WEIGHT:
            return False
        later = found[found.index(node) + 1 :]
        return sum(self.src[other].count(node) for other in later) == self.graph.uses[node]

    def _is_norm(self, found: Sequence[int]) -> bool:
        tensors = self.graph.tensors
        if self.op[found[1]] == "SCALE":
            return self.src[found[1]][0] == found[0] and tensors[found[1]].type is _F32
        for before, node in itertools.pairwise(found):
            weight = self.node(self.src[node][1])
            if self.src[node][0] != before or weight.ne[0] != tensors[found[0]].ne[0]:
                return False
            if not has_contiguous_rows(weight) or tensors[node].type is not _F32:
                return False
        return True

    def _is_sum(self, found: Sequence[int]) -> bool:
        return all(
            self.src[node][0] == before and same_layout(self.node(self.src[node][1]), self.node(self.src[before][1]))
            for before, node in itertools.pairwise(found)
        )

    def _is_convolution(self, found: Sequence[int]) -> bool:
        tensor = self.graph.tensors[found[1]]
        return tensor.op == "UNARY:SILU" and tensor.type is _F32 and has_contiguous_rows(tensor)

    def _is_product(self, found: Sequence[int]) -> bool:
        """A product and the sum with something that is no weight, whatever the rows of work."""
        product, total = found
        a, b = self.src[total][:2]
        if (a == product) == (b == product):
            return False
        other = self.node(b if a == product else a)
        root = other.view_src or other
        weight, x = (self.node(s) for s in self.src[product][:2])
        return (
            other.type is _F32 and self.graph.tensors[total].type is _F32 and root.home != WEIGHT
            and weight.type in _SMALL_PRODUCTS and x.type is _F32
        )  # fmt: skip

    def _is_whole(self, pattern: tuple[str, ...], found: Sequence[int], last: int) -> bool:
        """Patterns with views between: all their nodes, where ``last`` is the last that works."""
        trailing = 1 if pattern[-1] in EMPTY else 0
        if last + 1 + trailing != len(pattern) or tuple(self.op[node] for node in found) != pattern:
            return False
        return self._is_choice(found) if pattern in _CHOICES else self._is_reduction(found)

    def _is_stored_delta(self, net: int, copy: int) -> bool:
        """The states at the end of a delta net, written straight to the cache."""
        source, tensor = self.node(self.src[copy][0]), self.graph.tensors[net]
        v = self.node(self.src[net][2])
        tail = 4 * v.ne[0] * v.ne[1] * v.ne[2] * v.ne[3]
        return (
            source.op == "VIEW" and source.view_src is tensor and source.offset == tail and is_contiguous(source)
            and not (tensor.flags | self.graph.tensors[copy].flags) & FLAG_OUTPUT
        )  # fmt: skip

    def _is_choice(self, found: Sequence[int]) -> bool:
        """Soft max of the router's logits, and the best experts with their weights."""
        probabilities, seen, order, chosen, rows = found[:5]
        logits = self.node(self.src[probabilities][0])
        if len(self.src[probabilities]) > 1 or logits.ne[0] > _MOST_EXPERTS or not is_contiguous(logits):
            return False
        linked = (
            self.src[seen][0] == self.src[order][0] == probabilities and self.src[chosen][0] == order
            and self.src[rows][:2] == (seen, chosen)
        )  # fmt: skip
        return linked and self._are_inner(found, (chosen, found[-1]))

    def _is_reduction(self, found: Sequence[int]) -> bool:
        """The weighted sum over the experts' results."""
        product = self.graph.tensors[found[0]]
        experts = self.node(self.src[found[0]][0])
        count = len(found) // 2
        views, sums = found[1 : count + 1], found[count + 1 :]
        if experts.ne[1] != count or experts.ne[3] != 1 or not is_contiguous(experts):
            return False
        if any(self.graph.tensors[view].view_src is not product for view in views):
            return False
        before = views[0]
        for view, total in zip(views[1:], sums, strict=True):
            if self.src[total][:2] != (before, view):
                return False
            before = total
        return self._are_inner(found, found[-1:])

    def _are_inner(self, found: Sequence[int], outputs: Sequence[int]) -> bool:
        return all(node in outputs or self._is_inner(node, found) for node in found)

"""What CUDA's fused kernels ask of the allocator: reordered nodes, and tensors kept longer than their last use.

ggml-cuda.cu:ggml_backend_cuda_graph_optimize of b11434; the matchers it calls are named at each function here.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from omniplan.llamacpp.build import Fusions
from omniplan.llamacpp.ggml.prepared import Prepared
from omniplan.llamacpp.graph.node import FLAG_OUTPUT, Node, is_contiguous

_GLUS: Final = ("GLU:SWIGLU", "GLU:GEGLU", "GLU:SWIGLU_OAI", "GLU:SWIGLU_CLAMP")
_GATES: Final = ("UNARY:SIGMOID", "UNARY:SOFTPLUS", "SOFT_MAX")
_NORM: Final = ("RESHAPE", "SUM_ROWS", "CLAMP", "DIV", "RESHAPE")


class Fuser:
    """Matches the runs of nodes in ``order`` that ``fusions`` tie together.

    Reorders it and fills ``keep`` (node -> tensors it outlives).
    """

    def __init__(
        self,
        graph: Prepared,
        order: list[int],
        src: Sequence[tuple[int, ...]],
        origin: Sequence[int],
        keep: dict[int, list[int]],
        fusions: Fusions,
    ) -> None:
        self.graph = graph
        self.tensors = graph.tensors
        self.origin = origin
        self.op = graph.op
        self.uses = graph.uses
        self.root = graph.root
        self.homed = frozenset(graph.homed if graph.fuses else ())
        self.order = order
        self.src = src
        self.keep = keep
        self.fusions = fusions

    def run(self, start: int, end: int) -> None:
        """Handle one split of a CUDA device."""
        if not self.graph.fuses:
            return
        kinds = [self.op[i] for i in self.order[start:end]]
        if self.fusions.shared_experts and "MUL_MAT_ID" in kinds and "MUL_MAT" in kinds:
            self._group_shared_experts(start, end)
            kinds = [self.op[i] for i in self.order[start:end]]
        done = start
        for position, (kind, following) in enumerate(pairwise(kinds), start):
            if position < done:
                continue
            if kind == "MUL" and following in ("VIEW", "MUL"):
                done = position + self._reduction(position, end)
            elif self.fusions.routing and kind in ("UNARY", "SOFT_MAX") and following in ("RESHAPE", "SQRT"):
                done = position + self._routing(position, end)

    def _hold(self, tensor: int, until: int) -> None:
        kept = self.keep.setdefault(until, [])
        if tensor not in kept:
            kept.append(tensor)

    def _group_shared_experts(self, start: int, end: int) -> None:
        """Move each shared expert's gate, up and GLU behind those of the routed experts."""
        order, op = self.order, self.op
        i = start
        while i + 5 < end:
            if op[order[i]] == "MUL_MAT_ID" and self._ops(i + 1, ("MUL_MAT_ID", "GLU")) and (j := self._shared(i, end)):
                order[i + 3 : j + 3] = [*order[j : j + 3], *order[i + 3 : j]]
                up = self.src[order[i + 2]][1]
                for operand in self.src[up][1:3]:
                    self._hold(operand, order[i + 5])
                i += 5
            i += 1

    def _ops(self, position: int, ops: Sequence[str]) -> bool:
        found = [self.op[i] for i in self.order[position : position + len(ops)]]
        return found == list(ops)

    def _shared(self, i: int, end: int) -> int:
        """The position of the shared expert that goes with the routed experts at ``i``, or 0."""
        op, order = self.op, self.order
        for j in range(i + 3, end - 2):
            kind = op[order[j]]
            if kind == "MUL_MAT_ID" and op[order[j + 1]] == kind:
                return 0
            if kind == "MUL_MAT" and self._ops(j + 1, ("MUL_MAT", "GLU")) and self._is_shared_expert(i, j):
                return j
        return 0

    def _is_shared_expert(self, i: int, j: int) -> bool:
        """ggml-cuda.cu:ggml_cuda_match_shared_expert."""
        if not (self._is_gated_pair(i) and self._is_gated_pair(j)):
            return False
        if self.tensors[self.order[i + 2]].op != self.tensors[self.order[j + 2]].op:
            return False
        up, shared_up = (self.src[self.order[p + 2]][1] for p in (i, j))
        weight, shared_weight = self.src[up][0], self.src[shared_up][0]
        if weight not in self.homed or not self._is(weight).type.is_quantized:
            return False
        given, shared_given = self.src[up][1], self.src[shared_up][1]
        if given >= len(self.op) or self.op[given] != "RESHAPE" or self.src[given][0] != shared_given:
            return False
        a, b, routed = self._is(weight), self._is(shared_weight), self._is(given)
        return (
            routed.ne[1] == 1 and routed.ne[3] == 1 and is_contiguous(routed) and _is_matrix(self._is(shared_given))
            and a.type is b.type and a.ne[:2] == b.ne[:2] and a.nb[1] == b.nb[1] and a.ne[3] == 1 and _is_matrix(b)
            and is_contiguous(self._is(self.order[i + 2])) and is_contiguous(self._is(self.order[j + 2]))
        )  # fmt: skip

    def _is(self, tensor: int) -> Node:
        """The node of a tensor; of a copy, the node with its layout."""
        base = len(self.tensors)
        return self.tensors[tensor] if tensor < base else self.tensors[self.origin[tensor - base]]

    def _is_gated_pair(self, position: int) -> bool:
        """ggml-cuda.cu:ggml_cuda_should_fuse_mul_mat without scales and biases, with sources used only here."""
        first, second, glu = self.order[position : position + 3]
        gate, up = self.src[glu][:2] if len(self.src[glu]) == 2 else (-1, -1)
        if {gate, up} != {first, second} or self.tensors[glu].op not in _GLUS:
            return False
        if any(self.uses[i] != 1 or self._is(i).flags & FLAG_OUTPUT for i in (gate, up)):
            return False
        a, b = self._is(self.src[gate][0]), self._is(self.src[up][0])
        return a.type is b.type and a.ne == b.ne and a.nb == b.nb and self.src[gate][1:] == self.src[up][1:]

    def _reduction(self, position: int, end: int) -> int:
        """Length of a weighted sum over experts that starts here (ggml_cuda_match_moe_weighted_reduction), or 0."""
        muls = 1
        first = self.order[position]
        scale = -1
        parts = None
        if position + 1 < end and self.op[second := self.order[position + 1]] == "MUL":
            outer, inner = self._factors(second), self._factors(first)
            if outer and inner and outer[0] == first:
                muls, scale, parts = 2, inner[1], (inner[0], outer[1])
        parts = parts or self._factors(first)
        weighted = self.order[position + muls - 1]
        count = self.tensors[weighted].ne[1]
        length = 2 * count + muls - 1
        if not parts or not 2 <= count <= self.fusions.reduced_experts or position + length > end:
            return 0
        if not self._sums_views(self.order[position + muls : position + length], weighted):
            return 0
        if not self._is_closed(position, length, (position + length - 1,)):
            return 0
        for tensor in (*parts, scale) if scale >= 0 else parts:
            self._hold(tensor, self.order[position + length - 1])
        return length

    def _factors(self, mul: int) -> tuple[int, int] | None:
        """The experts' results and the weights that a product takes, whichever comes first."""
        a, b = self.src[mul]
        for full, weights in ((a, b), (b, a)):
            node, x, w = self.tensors[mul], self._is(full), self._is(weights)
            if x.ne == node.ne and w.ne == (1, *node.ne[1:]) and {x.type.name, w.type.name, node.type.name} == {"f32"}:
                return (full, weights) if is_contiguous(x) and is_contiguous(w) and is_contiguous(node) else None
        return None

    def _sums_views(self, run: Sequence[int], weighted: int) -> bool:
        """Whether ``run`` takes one view per expert and adds them up from left to right."""
        views: list[int] = []
        total, added = -1, 0
        for i in run:
            if self.op[i] == "VIEW":
                if not self._is_expert_view(i, weighted, len(views)):
                    return False
                views.append(i)
            elif self.op[i] == "ADD" and len(views) > added + 1:
                if self.src[i] != (total if added else views[0], views[added + 1]):
                    return False
                total, added = i, added + 1
            else:
                return False
        return added == len(views) - 1 == self.tensors[weighted].ne[1] - 1

    def _is_expert_view(self, i: int, weighted: int, expert: int) -> bool:
        view, whole = self.tensors[i], self.tensors[weighted]
        return (
            self.src[i] == (weighted,) and self.root[i] == weighted
            and view.ne == (whole.ne[0], whole.ne[2] * whole.ne[3], 1, 1)
            and view.nb[:2] == (whole.nb[0], whole.nb[2]) and view.offset == expert * whole.nb[1]
        )  # fmt: skip

    def _is_closed(self, position: int, length: int, outputs: Sequence[int]) -> bool:
        """Whether only ``outputs`` are used from outside the run (ggml.c:ggml_can_fuse_subgraph_ext)."""
        run = self.order[position : position + length]
        used: dict[int, int] = {}
        for i in run:
            for s in self.src[i]:
                used[s] = used.get(s, 0) + 1
        for offset, i in enumerate(run):
            if position + offset in outputs:
                continue
            if self.tensors[i].flags & FLAG_OUTPUT or used.get(i, 0) != self.uses[i]:
                return False
            if self.root[i] >= 0 and self.root[i] not in run and self.root[i] not in self.homed:
                return False
        return True

    def _routing(self, position: int, end: int) -> int:
        """Length of an expert selection that starts here (ggml_cuda_topk_moe_fusion), or 0; holds what it reads."""
        order, op = self.order, self.op
        if self.tensors[order[position]].op not in _GATES:
            return 0
        ops = self._gating(position)
        probs = position + len(ops) - 1
        biased = probs + 2 < end and op[order[probs + 2]] == "ADD"
        ops += ["RESHAPE", *(["ADD"] if biased else []), "ARGSORT", "VIEW", "GET_ROWS"]
        if position + len(ops) > end or not self._ops(position, ops) or not self._selects(probs, biased=biased):
            return 0
        ids = probs + (4 if biased else 3)
        ops += self._normalising(position + len(ops))
        after = position + len(ops)
        if after < len(order) and op[order[after]] == "SCALE" and self.src[order[after]] == (order[after - 1],):
            ops.append("SCALE")
        last = position + len(ops) - 1
        if last >= end or not self._is_closed(position, len(ops), (ids, last)):
            return 0
        if not self._has_kernel(position, ids, last):
            return 0
        if last + 1 < len(order):
            for i in order[position : last + 1]:
                for tensor in (i, *self.src[i]):
                    self._hold(tensor, order[last + 1])
        return len(ops)

    def _gating(self, position: int) -> list[str]:
        first = self.order[position]
        if self.tensors[first].op == "UNARY:SOFTPLUS":
            return ["UNARY", "SQRT"]
        return [self.op[first]]

    def _selects(self, probs: int, *, biased: bool) -> bool:
        """Whether the nodes after the probabilities sort them, take the first and look their values up."""
        order, src = self.order, self.src
        chain = order[probs : probs + (6 if biased else 5)]
        sort, top, rows = chain[-3:]
        sorted_from = chain[2] if biased else chain[0]
        return (
            src[chain[1]] == (chain[0],) and src[sort] == (sorted_from,) and src[top] == (sort,)
            and src[rows] == (chain[1], top) and (not biased or src[chain[2]][0] == chain[0])
        )  # fmt: skip

    def _normalising(self, position: int) -> list[str]:
        """The five nodes that divide the chosen weights by their sum, if they follow."""
        if not self._ops(position, _NORM):
            return []
        rows = self.order[position - 1]
        flat, total, bounded, ratio, shaped = self.order[position : position + 5]
        src = self.src
        chained = (src[flat], src[total], src[bounded], src[ratio], src[shaped]) == (
            (rows,), (flat,), (total,), (flat, bounded), (ratio,),
        )  # fmt: skip
        return list(_NORM) if chained else []

    def _has_kernel(self, position: int, ids: int, last: int) -> bool:
        """topk-moe.cu:ggml_cuda_should_use_topk_moe."""
        gate, top = self.tensors[self.order[position]], self.tensors[self.order[ids]]
        n_expert = top.nb[1] // top.nb[0]
        if not ((n_expert & (n_expert - 1) == 0 and n_expert <= 512) or n_expert in (288, 576)):
            return False
        if gate.op == "SOFT_MAX" and len(gate.src) > 1:
            return False
        return is_contiguous(gate.src[0]) and is_contiguous(self.tensors[self.order[last]])


def _is_matrix(node: Node) -> bool:
    return node.ne[2] == 1 and node.ne[3] == 1 and is_contiguous(node)

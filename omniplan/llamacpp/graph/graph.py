"""A computation graph in ggml's order: depth first, sources left to right, every node once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from omniplan.llamacpp.graph.node import FLAG_OUTPUT, Node
from omniplan.llamacpp.load.context import Context

# A node of the branch that is evaluated (GGML_TENSOR_FLAG_COMPUTE).
FLAG_COMPUTE: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A micro-batch of equal sequences with ``n_outputs`` rows of logits (``llama_batch_allocr::ubatch_reserve``)."""

    n_tokens: int
    n_seqs: int
    n_outputs: int

    @property
    def n_seq_tokens(self) -> int:
        """Tokens of one sequence."""
        return self.n_tokens // self.n_seqs

    @classmethod
    def prefill(cls, context: Context) -> Batch:
        """The prompt batch that buffers are reserved for (``llama_context::sched_reserve``)."""
        n_seqs = context.n_seq_max
        n_tokens = -(-context.n_tokens // n_seqs) * n_seqs
        return cls(n_tokens=n_tokens, n_seqs=n_seqs, n_outputs=context.n_outputs)

    @classmethod
    def decode(cls, context: Context) -> Batch:
        """One token of every sequence."""
        n_seqs = context.n_seq_max
        return cls(n_tokens=n_seqs, n_seqs=n_seqs, n_outputs=n_seqs)


class Graph:
    """Nodes and leafs in the order in which ``ggml_build_forward_expand`` first meets them.

    ``on_cpu`` are nodes that llama.cpp pins to the CPU back end whatever their weights (KV cache not offloaded).
    """

    __slots__ = ("_seen", "leafs", "nodes", "on_cpu")

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.leafs: list[Node] = []
        self.on_cpu: list[Node] = []
        self._seen: set[Node] = set()

    def expand(self, node: Node) -> None:
        """Append ``node`` and all it needs (``ggml_build_forward_expand``)."""
        if node not in self._seen:
            self._visit(node)
        elif not node.flags & FLAG_COMPUTE:
            self._revive(node)

    def select(self, branches: Sequence[Node], chosen: int) -> Node:
        """Append alternatives of which one is evaluated (``ggml_build_forward_select``)."""
        for i, branch in enumerate(branches):
            first = len(self.nodes)
            self.expand(branch)
            if i != chosen:
                for node in self.nodes[first:]:
                    node.flags &= ~FLAG_COMPUTE
        return branches[chosen]

    def output(self, node: Node) -> None:
        """Mark a result the host reads: its memory is never reused."""
        node.flags |= FLAG_OUTPUT

    def _visit(self, node: Node) -> None:
        seen = self._seen
        seen.add(node)
        if node.op == "NONE":
            self.leafs.append(node)
            return
        node.flags |= FLAG_COMPUTE
        for src in node.src:
            if src not in seen:
                self._visit(src)
        self.nodes.append(node)

    def _revive(self, node: Node) -> None:
        if node.op != "NONE":
            node.flags |= FLAG_COMPUTE
            for src in node.src:
                if not src.flags & FLAG_COMPUTE:
                    self._revive(src)

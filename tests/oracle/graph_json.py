"""Turns the oracle's graph files into nodes: what llama.cpp hands to the GPU, with the host's part guessed."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

from omniplan.domain.tensor_type import TYPE_BY_NAME, TensorType
from omniplan.llamacpp.graph.node import CACHE, FLAG_INPUT, FLAG_OUTPUT, WEIGHT, Dims, Node, strides

HOST = -2  # ``il`` of the weights that stay on the CPU.
TOKENS = 496  # No dimension of the oracle's graphs equals it, so that it can be replaced.


def load(path: Path) -> dict[str, Any]:
    """The content of a graph file."""
    with gzip.open(path) as file:
        data: dict[str, Any] = json.load(file)
    return data


def build(parts: list[dict[str, Any]], tokens: int = TOKENS) -> list[Node]:
    """Nodes of all parts in graph order, rescaled to ``tokens``.

    A copy of an input becomes the input; a copy of a result of the host becomes a ``GET_ROWS`` there, or a product
    when it is no activation.
    """
    return _Rebuild(tokens).run(parts)


class _Rebuild:
    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self.named: dict[tuple[str, Dims, int], Node] = {}
        self.nodes: list[Node] = []
        self.ids = Node("NONE", TYPE_BY_NAME["i32"], (tokens, 1, 1, 1), (4, 4 * tokens, 4 * tokens, 4 * tokens))
        self.ids.flags = FLAG_INPUT

    def run(self, parts: list[dict[str, Any]]) -> list[Node]:
        for part in parts:
            seen: Counter[str] = Counter()
            leafs: list[Node] = []
            for row in part["leafs"]:
                seen[row[2]] += 1
                leafs.append(self._leaf(row, seen[row[2]]))
            made = [self._node(row) for row in part["nodes"]]
            for node, row in zip(made, part["nodes"], strict=True):
                node.src = [made[s] if s >= 0 else leafs[-s - 1] for s in row[3]]
                view = row[4]
                node.view_src = None if view is None else (made[view] if view >= 0 else leafs[-view - 1])
            self.nodes += made
        return self.nodes

    def _scaled(self, ne: list[int]) -> Dims:
        a, b, c, d = (n // TOKENS * self.tokens if n % TOKENS == 0 else n for n in ne)
        return a, b, c, d

    def _node(self, row: list[Any]) -> Node:
        op, kind_name, shape, _, _, name, flags, nb, offset = row
        kind, ne = TYPE_BY_NAME[kind_name], self._scaled(shape)
        strided = _scaled_strides(shape, ne, nb, self.tokens)
        node = Node(op, kind, ne, strided, offset=offset, name=name)
        node.flags = flags & FLAG_OUTPUT
        if name.startswith("norm-"):
            node.name, node.il = "norm", int(name[5:])
        self.named[name, ne, 1] = node
        return node

    def _leaf(self, row: list[Any], occurrence: int) -> Node:
        kind_name, shape, name, flags, home, _ = row
        kind, ne = TYPE_BY_NAME[kind_name], self._scaled(shape)
        if home == "weight":
            return Node("NONE", kind, ne, strides(kind, ne), name=name, home=WEIGHT)
        if home == "buffer":
            return Node("NONE", kind, ne, strides(kind, ne), name=name, home=CACHE)
        plain = name.split("#")[1] if "#" in name else name
        key = plain, ne, occurrence
        known = self.named.get(key)
        if known is None:
            copied = "#" in name
            if copied and _is_result(plain):
                known = self._host_node(kind, ne, plain)
            else:
                known = self._input(kind, ne, plain)
                known.flags = FLAG_INPUT if copied else flags & FLAG_INPUT
            self.named[key] = known
        return known

    def _input(self, kind: TensorType, ne: Dims, name: str) -> Node:
        return Node("NONE", kind, ne, strides(kind, ne), name=name, flags=FLAG_INPUT)

    def _host_node(self, kind: TensorType, ne: Dims, name: str) -> Node:
        table = Node("NONE", kind, (ne[0], 1, 1, 1), strides(kind, (ne[0], 1, 1, 1)), name="token_embd", home=WEIGHT)
        table.il = HOST
        node = Node("GET_ROWS", kind, ne, strides(kind, ne), [table, self.ids], name=name)
        self.nodes.append(node)
        return node


def _is_result(name: str) -> bool:
    return name.startswith(("node_", "embd", "model.embed_tokens", "inp_embd", "pos_embd", "ple_embd"))


def _scaled_strides(shape: list[int], ne: Dims, nb: list[int], tokens: int) -> Dims:
    """Strides with the token count replaced; those that are multiples of it grow with it."""
    if list(ne) == shape and not any(b % TOKENS == 0 and b for b in nb):
        return nb[0], nb[1], nb[2], nb[3]
    a, b, c, d = (n // TOKENS * tokens if n % TOKENS == 0 else n for n in nb)
    return a, b, c, d

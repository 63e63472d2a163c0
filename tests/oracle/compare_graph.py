"""Compares the graphs we build with those llama.cpp b11434 handed to its CUDA back end, node by node.

``python -m tests.oracle.compare_graph [NAME ...] [-v]`` prints the first difference of every variant; without names,
one line per architecture. The dumps hold the GPU's part of a graph. What runs on the CPU (embedding look-ups,
operations that CUDA cannot run) is missing; its results and the inputs appear as leafs called ``CUDA0#name#0``.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

from omniplan.domain.model import Model
from omniplan.domain.params import ServerParams
from omniplan.errors import OmniplanError
from omniplan.gguf import read_header
from omniplan.gguf.model import architectures, build_model
from omniplan.llamacpp.graph.families import FAMILIES, build
from omniplan.llamacpp.graph.graph import FLAG_COMPUTE, Batch, Graph
from omniplan.llamacpp.graph.node import CACHE, FLAG_OUTPUT, WEIGHT, Node
from omniplan.llamacpp.load.context import resolve

DATA: Final = Path(__file__).parents[1] / "data"
# Variant of a dump: key, phase, flash attention, cache type.
VARIANTS: Final = (
    ("fa", "prefill", True, "f16"),
    ("nofa", "prefill", False, "f16"),
    ("q8_kv", "prefill", True, "q8_0"),
    ("fa", "decode", True, "f16"),
)
_HOMES: Final = {"weight": WEIGHT, "buffer": CACHE, "none": None}


def names() -> list[str]:
    """All dumps."""
    return sorted(path.name.removesuffix(".json.gz") for path in (DATA / "graphs").glob("*.json.gz"))


@lru_cache(maxsize=4)
def load_dump(name: str) -> dict[str, Any]:
    """The content of one dump."""
    with gzip.open(DATA / "graphs" / f"{name}.json.gz") as file:
        data: dict[str, Any] = json.load(file)
    return data


@cache
def load_model(name: str) -> Model:
    """The model a dump was taken from."""
    return build_model(read_header(str(DATA / "models" / "archs" / f"{name}.gguf")))


def build_variant(name: str, phase: str, *, flash_attn: bool, cache_type: str) -> Graph:
    """Our graph of one variant, under the oracle's arguments (``-c 4096 -np 1 -ub 496``)."""
    model = load_model(name)
    params = ServerParams(n_ctx=4096, n_parallel=1, n_ubatch=496, cache_type_k=cache_type, cache_type_v=cache_type)
    context = resolve(model, params, flash_attn=flash_attn and architectures.row(model.arch).flash_attention)
    batch = Batch.prefill(context) if phase == "prefill" else Batch.decode(context)
    return build(model, context, batch)


class Difference(Exception):
    """The graphs differ; the text says where and how."""


@dataclass
class Comparison:
    """Walks our nodes along the dump's; ``skipped`` are ours that ran on the CPU."""

    ours: list[Node]
    budget: int | None
    matched: dict[Node, str] = field(default_factory=dict)
    skipped: list[Node] = field(default_factory=list)
    position: int = 0

    def run(self, parts: list[dict[str, Any]]) -> None:
        """Raises Difference at the first node that does not match."""
        for number, part in enumerate(parts):
            self._part(part, f"part {number} " if len(parts) > 1 else "")
        self.skipped += self.ours[self.position :]
        if self.budget is not None and len(self.skipped) != self.budget:
            raise Difference(f"{len(self.skipped)} of our nodes are not in the dump, {self.budget} ran on the CPU")

    def _part(self, part: dict[str, Any], label: str) -> None:
        pairs = _Pairs(part)
        for i, row in enumerate(part["nodes"]):
            reasons = []
            while True:
                reason = self._match(pairs, row)
                if reason is None:
                    pairs.nodes.append(self.ours[self.position])
                    self.position += 1
                    break
                reasons.append((self.position, reason))
                if not self._skip():
                    raise Difference(self._report(label, part, i, *reasons[0]))

    def _skip(self) -> bool:
        if self.position >= len(self.ours) - 1 or (self.budget is not None and len(self.skipped) >= self.budget):
            return False
        self.skipped.append(self.ours[self.position])
        self.position += 1
        return True

    def _match(self, pairs: _Pairs, row: list[Any]) -> str | None:
        if self.position >= len(self.ours):
            return "our graph has ended"
        node = self.ours[self.position]
        op, kind, ne, src, view, name, flags, nb, offset = row
        op_of_mine = node.op.removesuffix(":F32")
        mine = (op_of_mine, node.type.name, list(node.ne), list(node.nb), node.offset, node.flags & _FLAGS)
        theirs = (op, kind, ne, nb, offset, flags & _FLAGS)
        for label, a, b in zip(("op", "type", "ne", "nb", "offset", "flags"), mine, theirs, strict=True):
            if a != b:
                return f"{label}: ours {a}, theirs {b}"
        if name.startswith("node_") and name[5:].isdigit() and int(name[5:]) != self.position:
            return f"our node number is {self.position}, theirs {name}"
        if name.split("-")[0] == "norm" and (name.removeprefix("norm").removeprefix("-") or "-1") != str(node.il):
            return f"pinned to layer: ours {node.il}, theirs {name}"
        return pairs.sources(node, src, view, set(self.skipped))

    def _report(self, label: str, part: dict[str, Any], i: int, position: int, reason: str) -> str:
        theirs = [_row_text(row, part) for row in part["nodes"]]
        index = {node: k for k, node in enumerate(self.ours)}
        ours = [_node_text(node, index) for node in self.ours]
        lines = [f"{label}node {i} (ours {position}): {reason}"]
        return "\n".join([*lines, *_excerpt("theirs", theirs, i), *_excerpt("ours  ", ours, position)])


_FLAGS: Final = FLAG_OUTPUT | FLAG_COMPUTE


class _Pairs:
    """Which of our nodes each leaf and node of one part stands for."""

    def __init__(self, part: dict[str, Any]) -> None:
        self.leafs: list[list[Any]] = part["leafs"]
        self.nodes: list[Node] = []
        self.known: dict[int, Node] = {}

    def sources(self, node: Node, src: list[int], view: int | None, skipped: set[Node]) -> str | None:
        """Why the sources differ, or None; leafs met for the first time are bound."""
        theirs = list(src)
        if len(node.src) != len(theirs):
            return f"sources: ours {len(node.src)}, theirs {len(theirs)}"
        pairs = [*zip(node.src, theirs, strict=True)]
        if (node.view_src is None) != (view is None):
            return f"view: ours {node.view_src!r}, theirs {view}"
        bound = dict(self.known)
        if node.view_src is not None and view is not None:
            pairs.append((node.view_src, view))
        for k, (mine, index) in enumerate(pairs):
            reason = self._same(mine, index, node, bound, skipped)
            if reason:
                return f"{'view source' if k >= len(theirs) else f'source {k}'}: {reason}"
        self.known = bound
        return None

    def _same(self, mine: Node, index: int, parent: Node, bound: dict[int, Node], skipped: set[Node]) -> str | None:
        if index >= 0:
            if index == len(self.nodes):
                return None if mine is parent else f"ours {mine!r}, theirs the node itself"
            return None if mine is self.nodes[index] else f"ours {mine!r}, theirs node {index}"
        if index in bound:
            return None if _alike(mine, bound[index]) else f"ours {mine!r}, theirs is bound to {bound[index]!r}"
        reason = self._same_leaf(mine, self.leafs[-index - 1], skipped)
        if reason is None:
            bound[index] = mine
        return reason

    def _same_leaf(self, mine: Node, leaf: list[Any], skipped: set[Node]) -> str | None:
        kind, ne, name, _, home, op = leaf
        plain = name.split("#")[1] if "#" in name else name
        if [mine.type.name, list(mine.ne)] != [kind, ne]:
            return f"ours {mine!r}, theirs leaf {kind} {ne} {name}"
        if mine.op == "NONE":
            is_named = plain == mine.name or plain.startswith("leaf_") or " " in plain
            if mine.home == _HOMES[home] and (is_named or home == "buffer"):
                return None
            return f"ours {mine.home} {mine!r}, theirs leaf {home} {name}"
        if "#" in name:
            # A view stands in every part; it is copied when its bytes lie elsewhere.
            is_elsewhere = mine in skipped or mine.view_src is not None
            return None if is_elsewhere else f"ours {mine!r} is in the dump, theirs is a copy {name}"
        return None if mine.op.split(":")[0] == op.split(":")[0] else f"ours {mine!r}, theirs {op} {name}"


def _excerpt(label: str, texts: list[str], at: int) -> list[str]:
    window = range(max(at - 5, 0), min(at + 4, len(texts)))
    return [f"  {'>' if k == at else ' '} {label} {k:4} {texts[k]}" for k in window]


def _alike(a: Node, b: Node) -> bool:
    # Weights that llama.cpp duplicates per device are one leaf in a dump taken on one device.
    return a is b or (a.home == WEIGHT == b.home and a.name == b.name)


def _row_text(row: list[Any], part: dict[str, Any]) -> str:
    op, kind, ne, src, view, name, flags, nb, offset = row
    sources = ", ".join(str(s) if s >= 0 else str(part["leafs"][-s - 1][2]) for s in src)
    at = "" if view is None else f" view {view}+{offset}"
    return f"{op} {kind} {ne} nb {nb}{at} flags {flags} <- ({sources})  {name}"


def _node_text(node: Node, index: dict[Node, int]) -> str:
    sources = ", ".join(str(index[s]) if s in index else s.name or repr(s) for s in node.src)
    at = "" if node.view_src is None else f" view +{node.offset}"
    return f"{node.op} {node.type.name} {list(node.ne)} nb {list(node.nb)}{at} flags {node.flags} <- ({sources})"


def compare(name: str, key: str, phase: str, *, flash_attn: bool, cache_type: str) -> str | None:
    """None when our graph equals the dump, else the first difference; raises OmniplanError when we cannot build it."""
    dump = load_dump(name).get(key, {})
    if phase not in dump:
        return None  # llama.cpp refuses these arguments, or nobody asked it.
    graph = build_variant(name, phase, flash_attn=flash_attn, cache_type=cache_type)
    parts = dump[phase]
    budget = dump["total_nodes"] - sum(len(part["nodes"]) for part in parts) if phase == "prefill" else None
    try:
        Comparison(graph.nodes, budget).run(parts)
    except Difference as difference:
        return str(difference)
    return None


def main() -> int:
    """Compare the named dumps, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*")
    parser.add_argument("-v", "--verbose", action="store_true", help="print differences also when comparing all")
    args = parser.parse_args()
    failed = 0
    for name in args.names or names():
        if load_model(name).arch not in FAMILIES:
            print(f"{name:32} no graph for {load_model(name).arch}")
            continue
        differences = {}
        for key, phase, flash_attn, cache_type in VARIANTS:
            try:
                difference = compare(name, key, phase, flash_attn=flash_attn, cache_type=cache_type)
            except OmniplanError as error:
                difference = str(error)
            if difference:
                differences[f"{key} {phase}"] = difference
        failed += bool(differences)
        print(f"{name:32} {'equal' if not differences else 'differs: ' + ', '.join(differences)}")
        if args.names or args.verbose:
            for variant, difference in differences.items():
                print(f"{name} {variant}: {difference}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""CUDA's kernels in other builds than b11434: what they could not run yet or can since, and what they did not keep."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Final

from omniplan.domain.tensor_type import TYPE_BY_NAME
from omniplan.llamacpp.build import Rules, known
from omniplan.llamacpp.ggml.backend import Backend
from omniplan.llamacpp.graph.node import Node, strides

_ODD_QUANTS: Final = frozenset(TYPE_BY_NAME[name] for name in ("q4_1", "q5_0", "q5_1"))
_LOOKED_UP: Final = frozenset(TYPE_BY_NAME[name] for name in "f32 f16 bf16 i32 q1_0 q4_0 q4_1 q5_0 q5_1 q8_0".split())
# Which read operands with gaps in builds that do.
_STRIDED: Final = ("UNARY", "ROLL")


def of(backend: Backend, build: int) -> Backend:
    """``backend``, made of CUDA's source, with the kernels that ``build`` has."""
    return _of(backend, known(build).rules)


# Back ends are compared by identity, and graphs remember what theirs said.
@cache
def _of(backend: Backend, rules: Rules) -> Backend:
    if not (_lacks(rules) or rules.reads_gaps):
        return backend

    def supports(node: Node) -> bool:
        reads = rules.reads_gaps and node.op.partition(":")[0] in _STRIDED
        return _runs(rules, node) and backend.supports(_packed(node) if reads else node)

    return replace(backend, supports=supports, scratch=backend.scratch if rules.copies_quants else _none)


def _packed(node: Node) -> Node:
    """``node`` with operands that have no gaps."""
    sources = [Node(src.op, src.type, src.ne, strides(src.type, src.ne)) for src in node.src]
    return Node(node.op, node.type, node.ne, node.nb, sources, flags=node.flags)


def _lacks(rules: Rules) -> bool:
    return not (
        rules.mixes_cache_types and rules.attends_odd_quants and rules.attends_192
        and rules.copies_quants and rules.looks_up_quants and rules.scans_96
    )  # fmt: skip


def _none(_: Node, __: int) -> int:
    return 0


def _runs(rules: Rules, node: Node) -> bool:
    match node.op:
        case "FLASH_ATTN_EXT":
            k, v = node.src[1], node.src[2]
            return (
                (rules.mixes_cache_types or k.type is v.type)
                and (rules.attends_odd_quants or _ODD_QUANTS.isdisjoint((k.type, v.type)))
                and (rules.attends_192 or k.ne[0] != 192)
            )
        case "GET_ROWS":
            return rules.looks_up_quants or node.src[0].type in _LOOKED_UP
        case "SSM_SCAN":
            return rules.scans_96 or node.src[0].ne[0] != 96
    return True

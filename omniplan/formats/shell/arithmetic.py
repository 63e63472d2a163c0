"""Numbers that a shell computes: ``$(( ))`` as far as every part of it is known."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tree_sitter import Node

_LARGEST: Final = 1 << 63
_DEPTH: Final = 50


def _divided(a: int, b: int) -> int:
    """Towards zero, as C does it."""
    found = abs(a) // abs(b)
    return found if (a < 0) == (b < 0) else -found


_BINARY: Final[Mapping[str, Callable[[int, int], int]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divided,
    "%": lambda a, b: a - b * _divided(a, b),
    "**": lambda a, b: a**b if 0 <= b < 64 and abs(a) < 1 << 16 else _LARGEST,
    "<<": lambda a, b: a << b if 0 <= b < 64 else _LARGEST,
    ">>": lambda a, b: a >> min(abs(b), 64),
    "<": lambda a, b: int(a < b),
    ">": lambda a, b: int(a > b),
    "<=": lambda a, b: int(a <= b),
    ">=": lambda a, b: int(a >= b),
    "==": lambda a, b: int(a == b),
    "!=": lambda a, b: int(a != b),
}


def value(node: Node, look_up: Callable[[Node], str | None], depth: int = 0) -> int | None:
    """The number of an expression, None where ``look_up`` does not know a part or a shell has no such number."""
    found = _value(node, look_up, depth) if depth < _DEPTH else None
    return found if found is not None and abs(found) < _LARGEST else None


def _value(node: Node, look_up: Callable[[Node], str | None], depth: int) -> int | None:
    inner = [child for child in node.named_children if child.type != "comment"]
    if node.type == "binary_expression":
        return _binary(node, look_up, depth)
    if node.type in {"arithmetic_expansion", "parenthesized_expression"} and len(inner) == 1:
        return value(inner[0], look_up, depth + 1)
    if node.type == "ternary_expression" and len(inner) == 3:
        condition = value(inner[0], look_up, depth + 1)
        return None if condition is None else value(inner[1 if condition else 2], look_up, depth + 1)
    if node.type == "unary_expression" and len(inner) == 1:
        found = value(inner[0], look_up, depth + 1)
        return -found if found is not None and node.children[0].type == "-" else None
    text = look_up(node)
    try:
        return int(text, 0) if text is not None else None
    except ValueError:
        return None


def _binary(node: Node, look_up: Callable[[Node], str | None], depth: int) -> int | None:
    left, sign, right = (node.child_by_field_name(name) for name in ("left", "operator", "right"))
    compute = _BINARY.get(sign.type) if sign else None
    if left is None or right is None or compute is None:
        return None
    a, b = value(left, look_up, depth + 1), value(right, look_up, depth + 1)
    try:
        return None if a is None or b is None else compute(a, b)
    except ZeroDivisionError:
        return None

"""A number or a name is stated in one place: who changes it there has changed it."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator

from omniplan import units
from tests.contracts.sources import Source, package

# Small numbers are counts of this and that: two that are called alike need not be the same one.
_SMALL = 16
# From here on a rate: bytes or operations per second that nobody has in common by chance.
_RATE = 1e9


def constants(source: Source) -> Iterator[tuple[str, object]]:
    """Numbers and texts that a module gives a name, sizes with their unit multiplied out."""
    for node in source.tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and (value := _value(node.value)) is not None:
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if isinstance(target, ast.Name):
                yield target.id.strip("_"), value


def _value(node: ast.expr | None) -> object:
    """A literal, a unit, or a product of these; None for anything else."""
    match node:
        case ast.Constant(value=bool()):
            return None
        case ast.Constant(value=int() | float() | str() as value):
            return value
        case ast.Name(id=name):
            return getattr(units, name, None)
        case ast.BinOp(left=left, op=ast.Mult() | ast.LShift() as op, right=right):
            a, b = _value(left), _value(right)
            if not isinstance(a, int | float) or not isinstance(b, int | float):
                return None
            return a * b if isinstance(op, ast.Mult) else int(a) << int(b)
    return None


def test_a_constant_stands_in_one_module() -> None:
    """None has the name and the value of another, however private; and a rate stands once under any name."""
    places: dict[tuple[str, object], list[str]] = defaultdict(list)
    for source in package():
        for name, value in constants(source):
            is_rate = isinstance(value, float) and value >= _RATE
            if isinstance(value, str) or (isinstance(value, int | float) and value > _SMALL):
                places["" if is_rate else name, value].append(source.path)

    assert {key: paths for key, paths in places.items() if len(set(paths)) > 1} == {}

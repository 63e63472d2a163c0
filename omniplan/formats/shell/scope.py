"""What a shell knows while it runs a script: variables, functions, positional parameters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from omniplan.formats.traced import Traced

if TYPE_CHECKING:
    from tree_sitter import Node

    from omniplan.formats.traced import Source


# Pieces of a value; a script made to do harm doubles a variable line by line.
_LARGEST: Final = 5_000


@dataclass(frozen=True, slots=True)
class Variable:
    """The fields of an array, or the one of a plain variable."""

    fields: tuple[Traced, ...]
    is_array: bool = False

    @property
    def is_huge(self) -> bool:
        """Whether it has grown beyond what a command line may hold."""
        return len(self.fields) + sum(len(field.pieces) for field in self.fields) > _LARGEST


@dataclass(frozen=True, slots=True)
class Function:
    """The body of a function, and the text it stands in."""

    body: Node
    source: Source


@dataclass(slots=True)
class Scope:
    """Names and their values at one point of a script; a variable without a value comes from outside.

    ``positional`` is None where nothing is known of the script's own arguments.
    """

    variables: dict[str, Variable] = field(default_factory=dict)
    exported: dict[str, None] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    positional: tuple[Traced, ...] | None = None
    exports_all: bool = False

    def copy(self) -> Scope:
        """The same, to be changed apart."""
        return Scope(
            dict(self.variables), dict(self.exported), self.functions, self.positional, exports_all=self.exports_all
        )

    def set(self, name: str, value: Variable | None, *, is_exported: bool = False) -> None:
        """Give ``name`` a value, None for one that nobody knows."""
        if value is None or value.is_huge:
            self.variables.pop(name, None)
        else:
            self.variables[name] = value
        if is_exported or self.exports_all:
            self.exported[name] = None

    def environment(self) -> tuple[tuple[str, Traced], ...]:
        """The exported variables that are known."""
        found = ((name, self.variables.get(name)) for name in self.exported)
        return tuple((name, value.fields[0]) for name, value in found if value and value.fields)

    def merge(self, branches: Iterable[Scope]) -> None:
        """Become what is sure after one of ``branches``, nobody knows which, has run."""
        scopes = list(branches)
        for name in {name for scope in scopes for name in scope.variables}:
            self.set(name, _either([scope.variables.get(name) for scope in scopes]))
        for scope in scopes:
            self.exported |= scope.exported


def _either(values: list[Variable | None]) -> Variable | None:
    """The value that all have; of lists that only grow the longest, so that what may be added is read too."""
    known = [value for value in values if value is not None]
    longest = max(known, key=lambda value: len(value.fields))
    if longest.is_array:
        is_grown = all(_texts(longest)[: len(value.fields)] == _texts(value) for value in known)
        return longest if is_grown else None
    if len(known) == len(values) and all(_texts(value) == _texts(longest) for value in known):
        return longest
    texts = {text for value in known for text in _texts(value)}
    return longest if len(texts) == 1 else _grown(known)


def _texts(value: Variable) -> list[str]:
    return [field.text for field in value.fields]


def _grown(known: list[Variable]) -> Variable | None:
    """The longest of plain values that each begin with the shorter ones, as ``ARGS="$ARGS -fa"`` does."""
    ordered = sorted(known, key=lambda value: len("".join(_texts(value))))
    texts = ["".join(_texts(value)) for value in ordered]
    is_grown = all(text and later.startswith(f"{text} ") for text, later in pairwise(texts))
    return ordered[-1] if is_grown else None

"""Buffer types of the CPU in which weights are laid out anew as they are read (``data/cpu_buffers.toml``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from omniplan.documents.column import Count, Name, Words
from omniplan.documents.source import read_table
from omniplan.domain.tensor_type import TensorType
from omniplan.llamacpp.ggml.cpu import CPU
from omniplan.llamacpp.graph.node import Node
from omniplan.units import pad

_DIMENSIONS: Final = {"MUL_MAT": 2, "MUL_MAT_ID": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class RepackRule:
    """Weights that are taken; the head of the table explains the fields."""

    types: Words
    needs: Words
    rows: Count
    columns: Count = 1
    more: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    name: Name
    operations: Words
    rules: tuple[RepackRule, ...]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Repacked:
    """One such buffer type as a processor has it, compared by identity; ``rules`` by the name of a tensor type."""

    name: str
    operations: tuple[str, ...]
    rules: Mapping[str, RepackRule]

    def supports(self, node: Node) -> bool:
        """Whether a weight that is the first source of ``node`` is laid out anew."""
        if node.op not in self.operations:
            return False
        weight = node.src[0]
        rule = self.rules.get(weight.type.name)
        if rule is None or sum(size > 1 for size in weight.ne) != _DIMENSIONS[node.op]:
            return False
        return weight.ne[1] % rule.rows == 0 and weight.ne[0] % rule.columns == 0

    def size(self, kind: TensorType, ne0: int, nbytes: int) -> int:
        """Bytes of a weight of ``nbytes`` with the bytes to where the next one may begin."""
        del ne0
        rule = self.rules.get(kind.name)
        more = nbytes // kind.size * rule.more if rule else 0
        return pad(nbytes + more, CPU.memory.alignment)


@cache
def repacked(features: tuple[str, ...]) -> tuple[Repacked, ...]:
    """The buffer types of a processor with ``features``, in the order in which a loader asks them."""
    found = (
        Repacked(
            name=row.name,
            operations=row.operations,
            rules={kind: rule for rule in row.rules if set(rule.needs) <= set(features) for kind in rule.types},
        )
        for row in read_table("cpu_buffers.toml", Mapping[str, _Row]).values()  # type: ignore[type-abstract]
    )
    return tuple(kind for kind in found if kind.rules)

"""Rows of ``data/tensors.toml``: the layer class of tensors outside the repeating layers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from omniplan.documents.column import Words
from omniplan.documents.source import read_table


class LayerClass(StrEnum):
    """Where the loader puts a tensor (``llm_tensor_layer``)."""

    INPUT = "input"
    REPEATING = "repeating"
    OUTPUT = "output"
    UNUSED = "unused"


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorClasses:
    """The whole table."""

    source: str
    input: Words
    output: Words
    unused: Words


@cache
def _classes() -> dict[str, LayerClass]:
    table = read_table("tensors.toml", TensorClasses)
    kinds = (LayerClass.INPUT, LayerClass.OUTPUT, LayerClass.UNUSED)
    return {name: kind for kind in kinds for name in getattr(table, kind)}


def tensor_class(name: str) -> LayerClass:
    """Class of a tensor outside ``blk.N``, by its name without the ``.weight`` suffix."""
    stem = name.removesuffix(".weight").removesuffix(".bias").removesuffix(".scale")
    classes = _classes()
    return classes.get(stem) or classes.get(stem.split(".")[0], LayerClass.REPEATING)

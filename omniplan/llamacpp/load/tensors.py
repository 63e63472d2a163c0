"""Rows of ``data/tensors.toml``: the layer class of tensors outside the repeating layers."""

from __future__ import annotations

from enum import StrEnum
from functools import cache

from omniplan.documents.source import read_table


class LayerClass(StrEnum):
    """Where the loader puts a tensor (``llm_tensor_layer``)."""

    INPUT = "input"
    REPEATING = "repeating"
    OUTPUT = "output"
    UNUSED = "unused"


@cache
def _classes() -> dict[str, LayerClass]:
    table = read_table("tensors.toml")
    kinds = (LayerClass.INPUT, LayerClass.OUTPUT, LayerClass.UNUSED)
    return {name: kind for kind in kinds for name in str(table[kind]).split()}


def tensor_class(name: str) -> LayerClass:
    """Class of a tensor outside ``blk.N``, by its name without the ``.weight`` suffix."""
    stem = name.removesuffix(".weight").removesuffix(".bias").removesuffix(".scale")
    classes = _classes()
    return classes.get(stem) or classes.get(stem.split(".")[0], LayerClass.REPEATING)

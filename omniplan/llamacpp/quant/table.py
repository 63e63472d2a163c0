"""Rows of ``data/quantize.toml``: llama-quantize's mixes, what it leaves alone, and its rules for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from functools import cache
from typing import Annotated, Final

from omniplan.documents.column import Column, Count, Name
from omniplan.documents.source import read_table
from omniplan.domain.tensor_type import TypeName
from omniplan.errors import InputError

_FILE: Final = "quantize.toml"


class Depth(StrEnum):
    """Which part of the layers a rule speaks of; ANY for all."""

    ANY = "any"
    FIRST_TWO = "first_two"
    FIRST_FOUR = "first_four"
    FIRST_SIXTEENTH = "first_sixteenth"
    FIRST_EIGHTH = "first_eighth"
    MIDDLE = "middle"
    MORE_BITS = "more_bits"


class Shape(StrEnum):
    """What a rule asks of a tensor's shape; RAGGED: its rows are no whole number of the mix's own blocks."""

    ANY = "any"
    THREE_D = "3d"
    RAGGED = "ragged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """One quant by name: its number in ``general.file_type`` and the type that no rule changes.

    ``rare`` says why nobody would look for a file of it, empty where one would; models are trained in a ``native`` one.
    """

    name: Name
    id: Count
    default: TypeName
    source: str
    alias: str = ""
    needs_imatrix: bool = False
    rare: str = ""
    native: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantRule:
    """Where every stated condition holds, a tensor gets ``type``; empty and None conditions hold always."""

    type: TypeName
    source: str
    category: tuple[str, ...] = ()
    quants: tuple[str, ...] = ()
    not_quants: tuple[str, ...] = ()
    arch: tuple[str, ...] = ()
    not_arch: tuple[str, ...] = ()
    contains: tuple[str, ...] = ()
    n_expert: Count | None = None
    not_n_expert: Count | None = None
    min_expert: Count = 0
    min_gqa: Count = 0
    imatrix: Annotated[str, Column(choices=("any", "with", "without"))] = "any"
    shape: Shape = Shape.ANY
    layers: Depth = Depth.ANY
    counted: bool = False
    is_70b: bool = False
    replaces: Annotated[tuple[str, ...], Column(key="from")] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seventy:
    """Layers at which an architecture's loader calls a model 70B; ``grouped`` only with fewer KV heads than heads."""

    n_layer: Count
    source: str
    grouped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Tensors that stay as they are: whole ``names``, and parts of names."""

    source: str
    contains: tuple[str, ...]
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Categories:
    """What a tensor counts as: the first category whose text its name has."""

    source: str
    order: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizeRules:
    """The whole table; ``keep_of`` is by architecture, ``fallback`` by the type that does not fit."""

    source: str
    mixes: Annotated[Mapping[str, Mix], Column(key="quant")]
    keep: Kept
    keep_of: Mapping[str, Kept]
    category: Categories
    fallback: Mapping[str, TypeName]
    seventy: Mapping[str, Seventy]
    rules: Annotated[tuple[QuantRule, ...], Column(key="rule")]
    adjust: tuple[QuantRule, ...]


@cache
def quantize_rules() -> QuantizeRules:
    """Every row; raises TableError."""
    return read_table(_FILE, QuantizeRules)


def find_mix(name: str) -> Mix:
    """The mix called ``name``, as llama-quantize reads it: case does not matter; raises InputError."""
    mixes = quantize_rules().mixes
    for mix in mixes.values():
        if name and name.upper() in (mix.name, mix.alias):
            return mix
    near = get_close_matches(name.upper(), list(mixes), n=1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(mixes)}"
    raise InputError(f"quant {name!r}: llama-quantize knows none of that name; {hint}")


def mix_of(file_type: object) -> Mix | None:
    """The mix whose number ``general.file_type`` is, or None."""
    return next((mix for mix in quantize_rules().mixes.values() if mix.id == file_type), None)

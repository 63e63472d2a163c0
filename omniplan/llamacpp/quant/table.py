"""Rows of ``data/quantize.toml``: llama-quantize's mixes, what it leaves alone, and its rules for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from functools import cache
from typing import Final

from omniplan.documents.fields import Fields
from omniplan.documents.source import read_table, wrong_rows
from omniplan.domain.tensor_type import TYPE_BY_NAME, TensorType
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
    """One quant by name: its number in ``general.file_type`` and the type that no rule changes."""

    name: str
    id: int
    default: TensorType
    alias: str = ""
    needs_imatrix: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantRule:
    """Where every stated condition holds, a tensor gets ``type``; empty and None conditions hold always."""

    type: TensorType
    category: tuple[str, ...]
    quants: tuple[str, ...]
    not_quants: tuple[str, ...]
    arch: tuple[str, ...]
    not_arch: tuple[str, ...]
    contains: tuple[str, ...]
    n_expert: int | None
    not_n_expert: int | None
    min_expert: int
    min_gqa: int
    imatrix: str
    shape: Shape
    layers: Depth
    counted: bool
    is_70b: bool
    replaces: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seventy:
    """Layers at which an architecture's loader calls a model 70B; ``grouped`` only with fewer KV heads than heads."""

    n_layer: int
    grouped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizeRules:
    """The whole table. ``keep_names`` are whole names, ``keep`` and ``keep_of`` parts of names."""

    mixes: Mapping[str, Mix]
    keep_names: tuple[str, ...]
    keep: tuple[str, ...]
    keep_of: Mapping[str, tuple[str, ...]]
    categories: tuple[tuple[str, str], ...]
    fallback: Mapping[str, TensorType]
    seventy: Mapping[str, Seventy]
    rules: tuple[QuantRule, ...]
    adjust: tuple[QuantRule, ...]


@cache
def quantize_rules() -> QuantizeRules:
    """Every row; raises TableError."""
    with wrong_rows(_FILE):
        table = Fields.of(read_table(_FILE), "")
        keep, category = _part(table, "keep"), _part(table, "category")
        return QuantizeRules(
            mixes={name: _mix(name, _part(_part(table, "quant"), name)) for name in _part(table, "quant").raw},
            keep_names=keep.texts("names"),
            keep=keep.texts("contains"),
            keep_of={
                arch: _part(_part(table, "keep_of"), arch).texts("contains") for arch in _part(table, "keep_of").raw
            },
            categories=tuple((name, text) for name, text in category.raw["order"]),
            fallback={
                name: _type(_part(table, "fallback"), name) for name in _part(table, "fallback").raw if name != "source"
            },
            seventy={arch: _seventy(_part(_part(table, "seventy"), arch)) for arch in _part(table, "seventy").raw},
            rules=tuple(_rule(row) for row in table.tables("rule")),
            adjust=tuple(_rule(row) for row in table.tables("adjust")),
        )


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


def _part(table: Fields, key: str) -> Fields:
    part = table.table(key)
    if part is None:
        raise table.error(key, "is missing")
    return part


def _type(row: Fields, key: str) -> TensorType:
    return TYPE_BY_NAME[row.choice(key, list(TYPE_BY_NAME), "")]


def _mix(name: str, row: Fields) -> Mix:
    mix = Mix(
        name=name,
        id=row.required_count("id"),
        default=_type(row, "default"),
        alias=row.text("alias", ""),
        needs_imatrix=row.flag("needs_imatrix"),
    )
    row.text("source")
    row.done()
    return mix


def _seventy(row: Fields) -> Seventy:
    seventy = Seventy(n_layer=row.required_count("n_layer"), grouped=row.flag("grouped"))
    row.text("source")
    row.done()
    return seventy


def _rule(row: Fields) -> QuantRule:
    rule = QuantRule(
        type=_type(row, "type"),
        category=row.texts("category"),
        quants=row.texts("quants"),
        not_quants=row.texts("not_quants"),
        arch=row.texts("arch"),
        not_arch=row.texts("not_arch"),
        contains=row.texts("contains"),
        n_expert=row.count("n_expert"),
        not_n_expert=row.count("not_n_expert"),
        min_expert=row.count("min_expert") or 0,
        min_gqa=row.count("min_gqa") or 0,
        imatrix=row.choice("imatrix", ("any", "with", "without"), "any"),
        shape=Shape(row.choice("shape", list(Shape), Shape.ANY)),
        layers=Depth(row.choice("layers", list(Depth), Depth.ANY)),
        counted=row.flag("counted"),
        is_70b=row.flag("is_70b"),
        replaces=row.texts("from"),
    )
    row.text("source")
    row.done()
    return rule

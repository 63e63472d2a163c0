"""Rows of ``data/engines.toml``: engines, the ways they run, what publishers offer, and dated rules about them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from typing import Annotated, Final

from omniplan.documents.column import Amount, Column, Count, Mib, Name, Positive
from omniplan.documents.source import read_table
from omniplan.engines.values import Effect
from omniplan.errors import InputError

_FILE: Final = "engines.toml"
_CONDITION: Final = re.compile(r"^(?P<fact>[a-z_]+\.[a-z_0-9]+) (?P<test>is|in|outside|<|>) (?P<value>.+)$")
_RANGE: Final = re.compile(r"(>=|<)([\d.]+)")


class LayoutKind(StrEnum):
    """How a way lays a model out over GPUs and RAM."""

    PLAN = "plan"
    HYBRID = "hybrid"
    GPU = "gpu"
    OFFLOAD = "offload"
    BACKEND = "backend"


class Comparator(StrEnum):
    """How a fact is held against a value: a text, a list of texts, or a number or version."""

    IS = "is"
    IN = "in"
    OUTSIDE = "outside"
    BELOW = "<"
    ABOVE = ">"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A test of one fact."""

    fact: str
    test: Comparator
    value: str

    @classmethod
    def parse(cls, text: str) -> Condition:
        """The condition written in ``text``; raises InputError."""
        if (match := _CONDITION.match(text)) is None:
            raise InputError(f'expected a form like "gpu.count > 0", got {text!r}')
        return cls(fact=match["fact"], test=Comparator(match["test"]), value=match["value"])

    def __str__(self) -> str:
        return f"{self.fact} {self.test} {self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A version, and a day on which it is known to have been out."""

    version: str
    seen: date
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRow:
    """One engine; ``backends`` are the engines it runs instead of computing itself."""

    name: Name
    title: str
    releases: tuple[Release, ...] = ()
    backends: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WayRow:
    """One manner of running an engine; bits per weight 0 are those of the file.

    ``reads`` are the formats of weights it starts from, ``converts`` whether it makes its own of them first,
    ``needs_gguf`` whether it wants the GGUF beside them. ``one_gpu`` says that it takes one GPU and keeps all experts
    in RAM, ``splits_layers`` that unequal GPUs will do. ``gpu_fraction`` is the share of a GPU it may take.
    """

    engine: str
    name: str
    layout: LayoutKind
    reads: tuple[str, ...] = ()
    known: date
    source: str
    versions: str = ""
    converts: bool = False
    needs_gguf: bool = False
    splits_layers: bool = False
    one_gpu: bool = False
    cpu_bits: Amount = 0.0
    gpu_bits: Amount = 0.0
    gpu_fraction: Positive = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRule:
    """One dated rule; ``engines`` "*" and no ``ways`` mean all of them."""

    id: str
    engines: tuple[str, ...]
    ways: tuple[str, ...] = ()
    effect: Effect
    when: tuple[Annotated[Condition, Column(parse=Condition.parse)], ...]
    says: str
    remedy: str = ""
    supersedes: tuple[str, ...] = ()
    versions: str = ""
    known: date
    source: str

    def is_about(self, engine: str, way: str) -> bool:
        """Whether it speaks of that way of that engine."""
        return ("*" in self.engines or engine in self.engines) and (not self.ways or way in self.ways)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow:
    """In which format a publisher offers models of a shape for download, and its bytes."""

    arch: tuple[str, ...]
    n_embd: Count
    n_expert: Count
    format: str
    size: Annotated[Count, Column(key="gb", unit=10**9)]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineNeeds:
    """Bytes that an engine keeps on every GPU beside weights and cache."""

    workspace: Mib
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTable:
    """The whole table."""

    source: str
    engines: Annotated[Mapping[str, EngineRow], Column(key="engine")]
    model: EngineNeeds
    ways: Annotated[tuple[WayRow, ...], Column(key="way")]
    rules: Annotated[tuple[EngineRule, ...], Column(key="rule")]
    published: tuple[PublishedRow, ...]

    @property
    def workspace(self) -> int:
        """Bytes that an engine keeps on every GPU beside weights and cache."""
        return self.model.workspace


@cache
def engine_table() -> EngineTable:
    """Every row; raises TableError."""
    return read_table(_FILE, EngineTable)


def version_key(text: str) -> tuple[int, ...]:
    """The numbers of a version, to be compared."""
    return tuple(int(number) for number in re.findall(r"\d+", text))


def in_range(version: str, versions: str) -> bool:
    """Whether ``version`` lies in a range such as ">=0.5,<0.7"; an unknown version lies in every range."""
    own = version_key(version)
    if not own:
        return True
    tests = {">=": lambda bound: own >= bound, "<": lambda bound: own < bound}
    return all(tests[sign](version_key(bound)) for sign, bound in _RANGE.findall(versions))

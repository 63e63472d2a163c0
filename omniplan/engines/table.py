"""Rows of ``data/engines.toml``: engines, the ways they run, what publishers offer, and dated rules about them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from typing import Final

from omniplan.documents.fields import Fields
from omniplan.documents.source import read_table, wrong_rows
from omniplan.engines.values import Effect

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A version, and a day on which it is known to have been out."""

    version: str
    seen: date


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRow:
    """One engine; ``backends`` are the engines it runs instead of computing itself."""

    name: str
    title: str
    releases: tuple[Release, ...]
    backends: tuple[str, ...]


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
    reads: tuple[str, ...]
    known: date
    source: str
    versions: str
    converts: bool
    needs_gguf: bool
    splits_layers: bool
    one_gpu: bool
    cpu_bits: float
    gpu_bits: float
    gpu_fraction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRule:
    """One dated rule; ``engines`` "*" and no ``ways`` mean all of them."""

    id: str
    engines: tuple[str, ...]
    ways: tuple[str, ...]
    effect: Effect
    when: tuple[Condition, ...]
    says: str
    remedy: str
    lesson: str
    supersedes: tuple[str, ...]
    versions: str
    known: date
    source: str

    def is_about(self, engine: str, way: str) -> bool:
        """Whether it speaks of that way of that engine."""
        return ("*" in self.engines or engine in self.engines) and (not self.ways or way in self.ways)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow:
    """In which format a publisher offers models of a shape for download, and its bytes."""

    arch: tuple[str, ...]
    n_embd: int
    n_expert: int
    format: str
    size: int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTable:
    """The whole table; ``workspace`` are bytes that an engine keeps on every GPU beside weights and cache."""

    engines: Mapping[str, EngineRow]
    ways: tuple[WayRow, ...]
    rules: tuple[EngineRule, ...]
    published: tuple[PublishedRow, ...]
    workspace: int


@cache
def engine_table() -> EngineTable:
    """Every row; raises TableError."""
    with wrong_rows(_FILE):
        table = Fields.of(read_table(_FILE), "")
        engines = Fields.of(table.raw["engine"], "engine")
        return EngineTable(
            engines={name: _engine(name, Fields.of(row, f"engine.{name}")) for name, row in engines.raw.items()},
            ways=tuple(_way(row) for row in table.tables("way")),
            rules=tuple(_rule(row) for row in table.tables("rule")),
            published=tuple(_published(row) for row in table.tables("published")),
            workspace=Fields.of(table.raw["model"], "model").required_mib("workspace_mib"),
        )


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


def _engine(name: str, row: Fields) -> EngineRow:
    engine = EngineRow(
        name=name,
        title=row.text("title"),
        releases=tuple(_release(item) for item in row.tables("releases")),
        backends=row.texts("backends"),
    )
    row.done()
    return engine


def _release(row: Fields) -> Release:
    release = Release(version=row.text("version"), seen=row.day("seen"))
    row.text("source")
    row.done()
    return release


def _way(row: Fields) -> WayRow:
    way = WayRow(
        engine=row.text("engine"),
        name=row.text("name"),
        layout=LayoutKind(row.choice("layout", list(LayoutKind), "")),
        reads=row.texts("reads"),
        known=row.day("known"),
        source=row.text("source"),
        versions=row.text("versions", ""),
        converts=row.flag("converts"),
        needs_gguf=row.flag("needs_gguf"),
        splits_layers=row.flag("splits_layers"),
        one_gpu=row.flag("one_gpu"),
        cpu_bits=row.number("cpu_bits") or 0.0,
        gpu_bits=row.number("gpu_bits") or 0.0,
        gpu_fraction=row.number("gpu_fraction") or 1.0,
    )
    row.done()
    return way


def _rule(row: Fields) -> EngineRule:
    rule = EngineRule(
        id=row.text("id"),
        engines=row.texts("engines"),
        ways=row.texts("ways"),
        effect=Effect(row.choice("effect", list(Effect), "")),
        when=tuple(_condition(row, text) for text in row.texts("when")),
        says=row.text("says"),
        remedy=row.text("remedy", ""),
        lesson=row.text("lesson", ""),
        supersedes=row.texts("supersedes"),
        versions=row.text("versions", ""),
        known=row.day("known"),
        source=row.text("source"),
    )
    row.done()
    return rule


def _condition(row: Fields, text: str) -> Condition:
    match = _CONDITION.match(text)
    if match is None:
        raise row.error("when", f'expected a form like "gpu.count > 0", got {text!r}')
    return Condition(fact=match["fact"], test=Comparator(match["test"]), value=match["value"])


def _published(row: Fields) -> PublishedRow:
    published = PublishedRow(
        arch=row.texts("arch"),
        n_embd=row.required_count("n_embd"),
        n_expert=row.required_count("n_expert"),
        format=row.text("format"),
        size=int((row.number("gb") or 0) * 1e9),
        source=row.text("source"),
    )
    row.done()
    return published

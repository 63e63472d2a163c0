"""A weighing of inference engines: for each a verdict, the arithmetic, the evidence, and a launch line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from omniplan.documents.record import Record
from omniplan.domain.evidence import Basis


class Viability(StrEnum):
    """What the facts say of an engine, from best to worst."""

    VIABLE = "viable"
    CONDITIONS = "viable with conditions"
    BLOCKED = "blocked"

    @property
    def rank(self) -> int:
        """Place from best, 0, to worst."""
        return list(Viability).index(self)


class Effect(StrEnum):
    """What a finding does to the verdict."""

    BLOCKS = "blocks"
    CONDITION = "condition"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFinding:
    """One fact that counts: what it says, what helps, and where it comes from.

    ``rule`` is the id of a row of ``data/engines.toml``, or "memory", "disk", "weights" or "plan" for arithmetic.
    ``known`` is the day it was recorded.
    """

    rule: str
    effect: Effect
    statement: str
    remedy: str = ""
    source: str = ""
    known: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolNeed:
    """Bytes needed of one pool, or of several together, and how many there are; None for unknown."""

    pool: str
    needed: int
    available: int | None

    @property
    def fits(self) -> bool | None:
        """Whether there is enough; None when nobody knows how much there is."""
        return None if self.available is None else self.needed <= self.available


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCommand(Record):
    """How to start it: arguments and environment. Paths of weights that are not at hand are placeholders."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WayVerdict:
    """One manner of running an engine. ``memory`` is modelled, but for llama.cpp, whose bytes are simulated."""

    name: str
    verdict: Viability
    findings: tuple[EngineFinding, ...]
    memory: tuple[PoolNeed, ...]
    memory_basis: Basis
    launch: EngineCommand | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineVerdict:
    """The verdict on one engine: that of its best way, which comes first in ``ways``."""

    engine: str
    title: str
    version: str
    verdict: Viability
    ways: tuple[WayVerdict, ...]

    @property
    def best(self) -> WayVerdict:
        """The way the verdict speaks of."""
        return self.ways[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighing(Record):
    """Every engine, weighed for one model on one machine with the facts recorded by ``as_of``, a day or "".

    ``n_ctx`` is the context in tokens; ``site`` what was said of the host beside the machine file.
    """

    model: str
    machine: str
    as_of: str
    n_ctx: int
    site: Mapping[str, str]
    engines: tuple[EngineVerdict, ...]

    def engine(self, name: str) -> EngineVerdict:
        """The verdict on the engine called ``name``; raises KeyError."""
        return {verdict.engine: verdict for verdict in self.engines}[name]

"""A stack: several models on one machine, what was asked of each, and the joint placement that keeps every budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from omniplan.documents.record import Record
from omniplan.domain.evidence import Assumption, Basis, Reason
from omniplan.domain.footprint import Unpriced
from omniplan.domain.machine import Machine
from omniplan.domain.plan import SCHEMA_VERSION, Plan
from omniplan.stack.asked import StackFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one member takes of one pool in bytes: llama.cpp's three columns and what lies beside them.

    ``reserve`` is the CUDA context of its process on a GPU and room for its pools there, the prompt cache in RAM.
    """

    pool: str
    model: int = 0
    context: int = 0
    compute: int = 0
    reserve: int = 0

    @property
    def total(self) -> int:
        """Everything."""
        return self.model + self.context + self.compute + self.reserve


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A model in its place: its plan, its shares, and whether it is loaded with the server.

    The plan's margins are of what its neighbours leave; its price is that of the whole machine. ``rivals`` counts the
    options its place was chosen from.
    """

    name: str
    plan: Plan
    shares: tuple[Share, ...]
    priority: float
    on_demand: bool
    port: int
    rivals: int

    @property
    def gpus(self) -> tuple[str, ...]:
        """The GPUs its process computes on."""
        return tuple(share.pool for share in self.shares if share.pool != "RAM")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolUse:
    """One pool under one group: bytes it has for the stack, bytes the members take, bytes left (negative: missing)."""

    pool: str
    capacity: int
    used: int

    @property
    def left(self) -> int:
        """Bytes beyond everything, headroom included."""
        return self.capacity - self.used


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberSpeed:
    """Tokens per second of one member while its neighbours are idle, and while all of them decode without a pause."""

    member: str
    idle: float
    busy: float
    basis: Basis = Basis.MODELLED


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """Changes that would make a group fit, and the share of what was asked for that they are predicted to lose."""

    changes: tuple[str, ...]
    loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupResult(Record):
    """Whether the members of a group fit together, pool by pool.

    ``needed`` are the bytes each member of a group that does not fit takes where it has all it asks for, and its
    ``pools`` are those it may lie on; ``shortfall`` is the least that is missing in any placement.
    """

    name: str
    members: tuple[str, ...]
    fits: bool
    pools: tuple[PoolUse, ...] = ()
    speeds: tuple[MemberSpeed, ...] = ()
    needed: Mapping[str, int] = field(default_factory=dict)
    shortfall: int = 0
    remedies: tuple[Remedy, ...] = ()

    @property
    def available(self) -> int:
        """Bytes of all its pools."""
        return sum(pool.capacity for pool in self.pools)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack(Record):
    """A joint placement: one set of arguments per model, good in every group that fits.

    ``sets`` are the largest sets of members that co-fit with these placements; any part of one does too. ``residents``
    take their bytes in all of them. ``seconds`` is the objective: the sum over members of priority times predicted
    seconds, plus the share ``busy`` of what neighbours in a group cost each other.
    """

    version: str
    llama_cpp: str
    name: str
    machine: Machine
    asked: StackFile
    members: tuple[Member, ...]
    groups: tuple[GroupResult, ...]
    sets: tuple[tuple[str, ...], ...]
    seconds: float
    reasons: tuple[Reason, ...] = ()
    assumptions: tuple[Assumption, ...] = ()
    schema_version: int = SCHEMA_VERSION

    @property
    def unpriced(self) -> tuple[Unpriced, ...]:
        """What the members' figures leave out."""
        return tuple(dict.fromkeys(item for member in self.members for item in member.plan.footprint.unpriced))

    @property
    def fits(self) -> bool | None:
        """Whether every group does; None where something of a member is not priced."""
        return all(group.fits for group in self.groups) and (None if self.unpriced else True)

    def member(self, name: str) -> Member:
        """The member called ``name``; raises KeyError."""
        for member in self.members:
            if member.name == name:
                return member
        raise KeyError(name)

"""Builds that have no rows of their own: the nearest one that has, and how far builds have drifted so far."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Final

from omniplan.documents.column import Column
from omniplan.documents.source import read_table
from omniplan.domain.build import BuildBasis
from omniplan.llamacpp.build import Build, builds

_FILE: Final = "drift.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """Where the build ``number`` stands: ``build`` is the nearest known one, ``other`` the next known on its far side.

    ``other`` is None but for a build between two.
    """

    number: int
    build: Build
    basis: BuildBasis
    other: Build | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftRow:
    """How compute buffers of the sample moved from the build ``since`` to the row's own.

    ``buffers`` were compared, ``changed`` of them moved; 97 of 100 grew by at most the share ``grew``.
    """

    since: int
    buffers: int
    changed: int
    grew: Annotated[float, Column(least=0)]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """All that is recorded, from the build ``since`` to ``until``: the shares by which buffers grew, added up."""

    since: int
    until: int
    grew: float

    @property
    def per_hundred(self) -> float:
        """The share by which a compute buffer grows in a hundred builds, at the pace of these."""
        return 100 * self.grew / (self.until - self.since)

    @property
    def text(self) -> str:
        """What was measured, in words."""
        return (
            f"from b{self.since} to b{self.until} 97 of 100 compute buffers grew by at most {self.per_hundred:.1%} "
            "per hundred builds"
        )


@cache
def neighbours(number: int) -> Neighbours:
    """The known builds around ``number``; of two as near the newer one is taken."""
    found = builds()
    if number in found:
        return Neighbours(number=number, build=found[number], basis=BuildBasis.KNOWN)
    order = sorted(found)
    if number < order[0]:
        return Neighbours(number=number, build=found[order[0]], basis=BuildBasis.BEFORE)
    if number > order[-1]:
        return Neighbours(number=number, build=found[order[-1]], basis=BuildBasis.BEYOND)
    at = bisect_left(order, number)
    older, newer = found[order[at - 1]], found[order[at]]
    near, far = (older, newer) if number - older.number < newer.number - number else (newer, older)
    return Neighbours(number=number, build=near, basis=BuildBasis.BETWEEN, other=far)


@cache
def drift() -> Drift:
    """How far builds have drifted so far."""
    rows = drift_rows()
    grew = sum(row.grew for row in rows.values())
    return Drift(since=min(row.since for row in rows.values()), until=max(rows), grew=grew)


@cache
def drift_rows() -> Mapping[int, DriftRow]:
    """The rows behind it, by the later build."""
    return read_table(_FILE, dict[int, DriftRow])

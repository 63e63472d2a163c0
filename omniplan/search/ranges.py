"""Contiguous layer ranges over devices, moving as little as possible to the CPU: a dynamic programme."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from omniplan.search.costs import LayerCosts


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """One device to fill: bytes it may hold, bytes it needs as soon as it holds a layer, and its speed in bytes/s."""

    name: str
    budget: int
    reserve: int
    speed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Layers ``first`` to ``last - 1`` on one device; ``moved`` are those whose movable part is on the CPU."""

    name: str
    first: int
    last: int
    moved: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Sums:
    """Prefix sums over layers."""

    base: list[int]
    movable: list[int]
    count: list[int]

    @classmethod
    def of(cls, costs: LayerCosts) -> _Sums:
        count = accumulate((1 if size else 0 for size in costs.movable), initial=0)
        return cls(list(accumulate(costs.base, initial=0)), list(accumulate(costs.movable, initial=0)), list(count))


# (layers moved, seconds per token): fewer moves first, then speed.
_Score = tuple[int, float]


def fill(costs: LayerCosts, bins: Sequence[Bin], *, may_move: bool, first: int = 0) -> tuple[Range, ...] | None:
    """Ranges that hold layers ``first`` to the last on ``bins`` in order, or None when no assignment fits.

    Fewest moved parts win, then the shorter time to read the weights. O(bins x layers^2) with prefix sums.
    """
    n = len(costs.base)
    sums = _Sums.of(costs)
    best: list[tuple[_Score, tuple[Range, ...]] | None] = [None] * (n + 1)
    best[first] = ((0, 0.0), ())
    for bin_ in bins:
        after = list(best)
        for start, reached in enumerate(best):
            if reached is None:
                continue
            for end in range(start + 1, n + 1):
                option = _place(costs, sums, bin_, start, end, may_move=may_move)
                if option is None:
                    if sums.base[end] - sums.base[start] > bin_.budget:
                        break
                    continue
                moved, seconds, chosen = option
                score = (reached[0][0] + moved, reached[0][1] + seconds)
                current = after[end]
                if current is None or score < current[0]:
                    after[end] = (score, (*reached[1], chosen))
        best = after
    found = best[n]
    return None if found is None else found[1]


def _place(
    costs: LayerCosts, sums: _Sums, bin_: Bin, start: int, end: int, *, may_move: bool
) -> tuple[int, float, Range] | None:
    """Layers ``start..end`` on one device: how many parts move, seconds to read what stays, and the range."""
    base = sums.base[end] - sums.base[start]
    room = bin_.budget - bin_.reserve - costs.shared - base
    if room < 0:
        return None
    kept: int = sums.movable[end] - sums.movable[start]
    moved: tuple[int, ...] = ()
    if kept > room:
        if not may_move:
            return None
        kept, moved = _trim(sums, room, start, end, from_front=start > 0)
    count = sum(1 for il in moved if costs.movable[il])
    seconds = (base + kept * costs.active_share) / bin_.speed
    return count, seconds, Range(name=bin_.name, first=start, last=end, moved=moved)


def _trim(sums: _Sums, room: int, start: int, end: int, *, from_front: bool) -> tuple[int, tuple[int, ...]]:
    """Move the fewest layers at one end of the range, so that a neighbour's moved layers join into one pattern."""
    if from_front:
        cut = bisect_right(sums.movable, sums.movable[end] - room - 1, start, end + 1)
        return sums.movable[end] - sums.movable[cut], tuple(range(start, cut))
    cut = bisect_right(sums.movable, sums.movable[start] + room, start, end + 1) - 1
    return sums.movable[cut] - sums.movable[start], tuple(range(cut, end))

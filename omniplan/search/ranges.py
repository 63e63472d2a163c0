"""Contiguous layer ranges over devices in the least predicted time: a dynamic programme."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from omniplan.search.costs import LayerCosts


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """One device to fill: bytes it may hold, bytes it needs as soon as it holds a layer, and seconds per layer.

    ``kept`` are seconds of each layer that is whole on the device, output layer last, and ``part`` how much of them
    its movable part takes. ``cpu`` are seconds of each movable part on the CPU while this is the first device in use,
    which is the one that streams weights for a prompt.
    """

    name: str
    budget: int
    reserve: int
    kept: tuple[float, ...]
    part: tuple[float, ...]
    cpu: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Layers ``first`` to ``last - 1`` on one device; ``moved`` are those whose movable part is on the CPU."""

    name: str
    first: int
    last: int
    moved: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """Ranges over devices, and the seconds they take by the bins' own figures."""

    seconds: float
    ranges: tuple[Range, ...]


# (seconds, layers moved): ties go to fewer moves.
_Score = tuple[float, int]
_State = tuple[_Score, tuple[Range, ...]]


@dataclass(frozen=True, slots=True)
class _Room:
    """One device in one pass: bytes for layers, and prefix sums over layers of bytes and seconds."""

    name: str
    size: int
    base: list[int]
    movable: list[int]
    kept: list[float]
    moved: list[float]
    count: list[int]

    def place(self, start: int, end: int, *, may_move: bool) -> tuple[float, int, tuple[int, int]] | None:
        """Seconds of layers ``start..end`` here, how many parts move, and between which layers; None without room."""
        room = self.size - self.base[end] + self.base[start]
        if room < 0:
            return None
        seconds = self.kept[end] - self.kept[start]
        movable = self.movable
        if movable[end] - movable[start] <= room:
            return seconds, 0, (start, start)
        if not may_move:
            return None
        # The fewest layers at one end of the range, so that a neighbour's moved layers join into one pattern.
        if start > 0:
            first, last = start, bisect_right(movable, movable[end] - room - 1, start, end + 1)
        else:
            first, last = bisect_right(movable, movable[start] + room, start, end + 1) - 1, end
        return seconds + self.moved[last] - self.moved[first], self.count[last] - self.count[first], (first, last)


def fill(costs: LayerCosts, bins: Sequence[Bin], *, may_move: bool, first: int = 0) -> Filled | None:
    """Ranges that hold layers ``first`` to the last on ``bins`` in order, or None when no assignment fits.

    The least predicted time wins, exactly, among contiguous ranges that keep whole layers from one end on: the back of
    a range that starts with the model, the front of any other. A moved part never counts as faster than a kept one, so
    as few move as must. O(kinds of first device x bins x layers^2) with prefix sums.
    """
    found: _State | None = None
    for cpu in dict.fromkeys(bin_.cpu for bin_ in bins):
        state = _pass(costs, bins, cpu, may_move=may_move, first=first)
        if state is not None and (found is None or state[0] < found[0]):
            found = state
    return None if found is None else Filled(seconds=found[0][0], ranges=found[1])


def _pass(
    costs: LayerCosts, bins: Sequence[Bin], cpu: tuple[float, ...], *, may_move: bool, first: int
) -> _State | None:
    """The best assignment whose first device is one that takes ``cpu`` for moved parts."""
    n = len(costs.base)
    best: list[_State | None] = [None] * (n + 1)
    for bin_ in bins:
        room = _room(costs, bin_, cpu)
        after = list(best)
        for start in range(first, n):
            reached = best[start]
            if reached is not None:
                _extend(after, reached, room, start, may_move=may_move)
            elif start == first and bin_.cpu == cpu:
                _extend(after, ((0.0, 0), ()), room, start, may_move=may_move)
        best = after
    return best[n]


def _extend(after: list[_State | None], reached: _State, room: _Room, start: int, *, may_move: bool) -> None:
    """Try every range that starts where ``reached`` ended."""
    (seconds, moved), before = reached
    for end in range(start + 1, len(after)):
        option = room.place(start, end, may_move=may_move)
        if option is None:
            # Bytes only grow with the range.
            return
        score = (seconds + option[0], moved + option[1])
        current = after[end]
        if current is None or score < current[0]:
            chosen = Range(name=room.name, first=start, last=end, moved=tuple(range(*option[2])))
            after[end] = (score, (*before, chosen))


def _room(costs: LayerCosts, bin_: Bin, cpu: tuple[float, ...]) -> _Room:
    moved = [
        max(0.0, there - here) if size else 0.0 for there, here, size in zip(cpu, bin_.part, costs.movable, strict=True)
    ]
    return _Room(
        name=bin_.name,
        size=bin_.budget - bin_.reserve - costs.shared,
        base=list(accumulate(costs.base, initial=0)),
        movable=list(accumulate(costs.movable, initial=0)),
        kept=list(accumulate(bin_.kept, initial=0.0)),
        moved=list(accumulate(moved, initial=0.0)),
        count=list(accumulate((1 if size else 0 for size in costs.movable), initial=0)),
    )

"""Contiguous layer ranges over devices in the least predicted time: a dynamic programme."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, product
from math import prod
from operator import add
from typing import Final

from omniplan.planning.costs import LayerCosts, Partial

# Sets of used devices up to which every order is tried: five different devices, or seven in two kinds.
_MOST_SETS: Final = 40
# Sums of seconds in another order are equal to within this factor.
_ROUNDING: Final = 1 + 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """One device to fill: bytes it may hold, bytes it needs as soon as it holds a layer, and seconds per layer.

    ``kept`` are seconds of each layer that is whole on the device, output layer last, and ``part`` how much of them
    its movable part takes. ``cpu`` are seconds of each movable part on the CPU while this is the first device in use,
    which is the one that streams weights for a prompt; it then needs ``reserve_first`` bytes instead of ``reserve``.
    ``handover`` are seconds of any layer with something on the CPU besides, however little.
    """

    name: str
    budget: int
    reserve: int
    reserve_first: int
    kept: tuple[float, ...]
    part: tuple[float, ...]
    cpu: tuple[float, ...]
    handover: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Layers ``first`` to ``last - 1`` on one device; ``moved`` are those whose movable part is on the CPU.

    Of the layer ``cut``, which is among ``moved``, only ``partial.moved`` is.
    """

    name: str
    first: int
    last: int
    moved: tuple[int, ...] = ()
    cut: int | None = None
    partial: Partial | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """Ranges in the order in which devices are used, and the seconds they take by the bins' own figures."""

    seconds: float
    ranges: tuple[Range, ...]


# (seconds, layers moved, layers cut, devices out of their order): ties go to the smaller.
_Score = tuple[float, int, int, int]
# What it takes, the rank of the last device, the ranges.
_State = tuple[_Score, int, tuple[Range, ...]]
_Row = list[_State | None]
# Seconds, layers that move, between which numbers, and the layer that is cut.
_Option = tuple[float, int, tuple[int, int], int | None, Partial | None]


@dataclass(frozen=True, slots=True)
class _Room:
    """One device in one pass: bytes for layers, and prefix sums over layers of bytes and seconds."""

    name: str
    rank: int
    size: int
    base: list[int]
    movable: list[int]
    whole: list[int]
    kept: list[float]
    moved: list[float]
    count: list[int]
    handover: float
    partials: Sequence[Sequence[Partial]]

    def too_far(self, start: int, *, may_move: bool) -> int:
        """The least end, beyond the last layer if need be, for which there is no room; bytes only grow with a range."""
        sums = self.base if may_move else self.whole
        return bisect_right(sums, self.size + sums[start], start)

    def least_end(self, left: int, *, may_move: bool) -> int:
        """The least end after which the layers that follow need no more than ``left`` bytes."""
        sums = self.base if may_move else self.whole
        return bisect_left(sums, sums[-1] - left)

    def place(self, start: int, end: int) -> _Option:
        """The best way to have layers ``start..end`` here, which need not move more than they may."""
        room = self.size - self.base[end] + self.base[start]
        seconds = self.kept[end] - self.kept[start]
        movable = self.movable
        if movable[end] - movable[start] <= room:
            return seconds, 0, (start, start), None, None
        # The fewest layers at one end of the range, so that a neighbour's moved layers join into one pattern.
        if start > 0:
            first, last = start, bisect_right(movable, movable[end] - room - 1, start, end + 1)
            edge, left = last - 1, room - movable[end] + movable[last]
        else:
            first, last = bisect_right(movable, movable[start] + room, start, end + 1) - 1, end
            edge, left = first, room - movable[first] + movable[start]
        count = self.count[last] - self.count[first]
        seconds += self.moved[last] - self.moved[first] + count * self.handover
        if self.partials:
            for partial in self.partials[edge]:
                gain = partial.share * (self.moved[edge + 1] - self.moved[edge])
                if partial.size <= left and gain > 0:
                    return seconds - gain, count, (first, last), edge, partial
        return seconds, count, (first, last), None, None


def fill(
    costs: LayerCosts,
    bins: Sequence[Bin],
    *,
    may_move: bool,
    first: int = 0,
    cuts: Collection[tuple[str, ...]] | None = None,
    reorder: bool = True,
) -> Filled | None:
    """Ranges that hold layers ``first`` to the last on some of ``bins``, or None when no assignment fits.

    The least predicted time wins, exactly, among all orders of the devices (the given one alone unless ``reorder``)
    and all contiguous ranges that keep whole
    layers from one end on, the back of a range that starts with the model, the front of any other, and next to them
    perhaps some projections of one more; ``cuts`` are the sets of projections that such a layer may move, None for
    all. A moved part never counts as faster than a kept one, so as few move as must.

    O(kinds of first device x sets of devices x devices x layers^2) with prefix sums. Devices that are alike are used
    in their order; with more than 40 sets of used devices only the given order is tried, and the one that has the
    device in front which streams fastest.
    """
    if cuts is not None:
        costs = replace(costs, partials=tuple(tuple(p for p in row if p.moved in cuts) for row in costs.partials))
    alike = _alike(costs, bins)
    found: _State | None = None
    for cpu in dict.fromkeys(bin_.cpu for bin_ in bins):
        if reorder and prod(len(group) + 1 for group in alike) <= _MOST_SETS:
            states = [_any_order(costs, bins, alike, cpu, may_move=may_move, first=first)]
        else:
            fastest = tuple(sorted(bins, key=lambda bin_: sum(bin_.cpu))) if reorder else tuple(bins)
            orders = dict.fromkeys((tuple(bins), fastest))
            states = [_in_order(costs, bins, order, cpu, may_move=may_move, first=first) for order in orders]
        found = min((state for state in (found, *states) if state), key=lambda state: state[0], default=None)
    return None if found is None else Filled(seconds=found[0][0], ranges=found[2])


def _alike(costs: LayerCosts, bins: Sequence[Bin]) -> list[list[int]]:
    """Indices of bins that differ in nothing but their names."""
    groups: dict[Bin, list[int]] = {}
    for index, bin_ in enumerate(bins):
        left = bin_.budget - costs.fixed.get(bin_.name, 0)
        groups.setdefault(replace(bin_, name="", budget=left), []).append(index)
    return list(groups.values())


def _any_order(
    costs: LayerCosts,
    bins: Sequence[Bin],
    alike: Sequence[Sequence[int]],
    cpu: tuple[float, ...],
    *,
    may_move: bool,
    first: int,
) -> _State | None:
    """The best assignment in any order whose first device is one that takes ``cpu`` for moved parts.

    One row of best states per set of used devices; a set is how many of each kind.
    """
    n = len(costs.base)
    nothing = (0,) * len(alike)
    rows: dict[tuple[int, ...], _Row] = {}
    rooms = [_room(costs, bin_, rank, cpu) for rank, bin_ in enumerate(bins)]
    for used in sorted(product(*(range(len(group) + 1) for group in alike)), key=sum):
        for kind, index in _next(used, alike):
            more = (*used[:kind], used[kind] + 1, *used[kind + 1 :])
            after = rows.setdefault(more, [None] * (n + 1))
            # Devices that are not used yet must hold the layers that are left.
            left = (rooms[i] for group, count in zip(alike, more, strict=True) for i in group[count:])
            least = rooms[index].least_end(sum(max(0, room.size) for room in left), may_move=may_move)
            if used == nothing and bins[index].cpu == cpu:
                _begin(after, costs, bins[index], index, cpu, first, may_move=may_move, least=least)
            elif used != nothing:
                _continue(after, rows[used], rooms[index], may_move=may_move, least=least)
    ends = (row[n] for row in rows.values())
    return min((state for state in ends if state is not None), key=lambda state: state[0], default=None)


def _next(used: Sequence[int], alike: Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]:
    """Kind and index of every device that could be next."""
    for kind, (count, group) in enumerate(zip(used, alike, strict=True)):
        if count < len(group):
            yield kind, group[count]


def _in_order(
    costs: LayerCosts,
    bins: Sequence[Bin],
    order: Sequence[Bin],
    cpu: tuple[float, ...],
    *,
    may_move: bool,
    first: int,
) -> _State | None:
    """The same with the devices in ``order``, each used or left out."""
    n = len(costs.base)
    best: _Row = [None] * (n + 1)
    for bin_ in order:
        rank = bins.index(bin_)
        after = list(best)
        _continue(after, best, _room(costs, bin_, rank, cpu), may_move=may_move)
        if bin_.cpu == cpu:
            _begin(after, costs, bin_, rank, cpu, first, may_move=may_move)
        best = after
    return best[n]


def _begin(
    after: _Row,
    costs: LayerCosts,
    bin_: Bin,
    rank: int,
    cpu: tuple[float, ...],
    first: int,
    *,
    may_move: bool,
    least: int = 0,
) -> None:
    """Try every range of the first device that ends at ``least`` or later."""
    room = _room(costs, replace(bin_, reserve=bin_.reserve_first), rank, cpu)
    _extend(after, ((0.0, 0, 0, 0), -1, ()), room, first, may_move=may_move, least=least)


def _continue(after: _Row, best: _Row, room: _Room, *, may_move: bool, least: int = 0) -> None:
    """Try every range that starts where some state of ``best`` ended, and ends at ``least`` or later."""
    for start, reached in enumerate(best[:-1]):
        if reached is not None:
            _extend(after, reached, room, start, may_move=may_move, least=least)


def _extend(after: _Row, reached: _State, room: _Room, start: int, *, may_move: bool, least: int) -> None:
    """Try every range that starts where ``reached`` ended, and ends at ``least`` or later."""
    (seconds, moved, cut, disorder), rank, before = reached
    disorder += room.rank < rank
    kept, begun = room.kept, seconds - room.kept[start]
    for end in range(max(start + 1, least), room.too_far(start, may_move=may_move)):
        current = after[end]
        if current is not None and begun + kept[end] > _ROUNDING * current[0][0]:
            # Slower already with nothing moved.
            continue
        more, count, span, edge, partial = room.place(start, end)
        score = (seconds + more, moved + count, cut + (edge is not None), disorder)
        if current is None or score < current[0]:
            chosen = Range(name=room.name, first=start, last=end, moved=tuple(range(*span)), cut=edge, partial=partial)
            after[end] = (score, room.rank, (*before, chosen))


def _room(costs: LayerCosts, bin_: Bin, rank: int, cpu: tuple[float, ...]) -> _Room:
    moved = [
        max(0.0, there - here) if size else 0.0 for there, here, size in zip(cpu, bin_.part, costs.movable, strict=True)
    ]
    return _Room(
        name=bin_.name,
        rank=rank,
        size=bin_.budget - bin_.reserve - costs.shared - costs.fixed.get(bin_.name, 0),
        base=list(accumulate(costs.base, initial=0)),
        movable=list(accumulate(costs.movable, initial=0)),
        whole=list(accumulate(map(add, costs.base, costs.movable), initial=0)),
        kept=list(accumulate(bin_.kept, initial=0.0)),
        moved=list(accumulate(moved, initial=0.0)),
        count=list(accumulate((1 if size else 0 for size in costs.movable), initial=0)),
        handover=bin_.handover,
        partials=costs.partials,
    )

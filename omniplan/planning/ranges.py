"""Contiguous layer ranges over devices in the least predicted time: a dynamic programme."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, product
from math import inf, prod
from typing import Final

from omniplan.planning.costs import LayerCosts, Partial
from omniplan.planning.relaxed import Relaxed, kinds, relaxed
from omniplan.planning.rooms import BEGIN, ROUNDING, Bin, Limit, Room, Row, State, Sums

# Sets of used devices up to which every order is tried: five different devices, or seven in two kinds.
_MOST_SETS: Final = 40


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


def fill(
    costs: LayerCosts,
    bins: Sequence[Bin],
    *,
    may_move: bool,
    first: int = 0,
    cuts: Collection[tuple[str, ...]] | None = None,
    reorder: bool = True,
    most: float = inf,
) -> Filled | None:
    """Ranges that hold layers ``first`` to the last on some of ``bins``, or None when no assignment fits.

    The least predicted time wins, exactly, among all orders of the devices (the given one alone unless ``reorder``)
    and all contiguous ranges that keep whole
    layers from one end on, the back of a range that starts with the model, the front of any other, and next to them
    perhaps some projections of one more; ``cuts`` are the sets of projections that such a layer may move, None for
    all. A moved part never counts as faster than a kept one, so as few move as must. Nothing comes when more than
    ``most`` seconds are taken.

    O(kinds of first device x sets of devices x devices x layers^2) with prefix sums, at worst: whatever cannot take
    less than an assignment at hand is left out. Devices that are alike are used
    in their order; with more than 40 sets of used devices only the given order is tried, and the one that has the
    device in front which streams fastest.
    """
    if cuts is not None:
        costs = replace(costs, partials=tuple(tuple(p for p in row if p.moved in cuts) for row in costs.partials))
    sums, same = Sums.of(costs), kinds(costs, bins)
    passes = [
        _Pass(costs, bins, cpu, order, sums, same, first=first, may_move=may_move)
        for cpu in dict.fromkeys(bin_.cpu for bin_ in bins)
        for order in _orders(bins, _alike(costs, bins), reorder=reorder)
    ]
    least = min((most, *(state[0] for each in passes if (state := each.even()))))
    found: list[tuple[tuple[float, ...], int, State]] = []
    for index, each in sorted(enumerate(passes), key=lambda item: sum(item[1].cpu)):
        if state := each.best(ROUNDING * least):
            least = min(least, state[0])
            found.append((state[:4], index, state))
    best = min(found)[2] if found else None
    return None if best is None or best[0] > most else _filled(best)


def fits(costs: LayerCosts, bins: Sequence[Bin], *, may_move: bool, first: int = 0) -> bool:
    """Whether ``fill`` finds anything: whether devices reach the last layer when every range is as long as can be."""
    alike = _alike(costs, bins)
    none, sums = (0.0,) * len(costs.base), Sums.of(costs)
    begins, rooms = (_rooms(costs, bins, none, sums, is_first=is_first) for is_first in (True, False))
    for order in _orders(bins, alike, reorder=True):
        reached: dict[tuple[int, ...], int] = {}
        for used, more, index in _walk(alike) if order is None else (((1,), (1,), index) for index in order):
            starts = [(begins[index], first)] if order or not any(used) else []
            if used in reached:
                starts.append((rooms[index], reached[used]))
            for room, start in starts:
                end = room.too_far(start, may_move=may_move) - 1
                if end > max(start, reached.get(more, 0)):
                    reached[more] = end
        if len(costs.base) in reached.values():
            return True
    return False


def _orders(bins: Sequence[Bin], alike: Sequence[Sequence[int]], *, reorder: bool) -> list[tuple[int, ...] | None]:
    """Orders of devices to try, None for all of them."""
    given = tuple(range(len(bins)))
    if not reorder:
        return [given]
    if prod(len(group) + 1 for group in alike) <= _MOST_SETS:
        return [None]
    fastest = tuple(sorted(given, key=lambda index: sum(bins[index].cpu)))
    return [*dict.fromkeys((given, fastest))]


def _rooms(costs: LayerCosts, bins: Sequence[Bin], cpu: Sequence[float], sums: Sums, *, is_first: bool) -> list[Room]:
    return [Room.of(costs, bin_, rank, cpu, sums, is_first=is_first) for rank, bin_ in enumerate(bins)]


def _alike(costs: LayerCosts, bins: Sequence[Bin]) -> list[list[int]]:
    """Indices of bins that differ in nothing but their names."""
    groups: dict[Bin, list[int]] = {}
    for index, bin_ in enumerate(bins):
        left = bin_.budget - costs.fixed.get(bin_.name, 0)
        groups.setdefault(replace(bin_, name="", budget=left), []).append(index)
    return list(groups.values())


def _walk(alike: Sequence[Sequence[int]]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], int]]:
    """Sets of used devices, how many of each kind; each with every set of one device more, and that device."""
    for used in sorted(product(*(range(len(group) + 1) for group in alike)), key=sum):
        for kind, (count, group) in enumerate(zip(used, alike, strict=True)):
            if count < len(group):
                yield used, (*used[:kind], count + 1, *used[kind + 1 :]), group[count]


def _filled(state: State) -> Filled:
    """The ranges of a state, which are linked from the last one on."""
    ranges: list[Range] = []
    step = state[5]
    while step is not None:
        moved = tuple(range(*step.moved))
        ranges.append(
            Range(name=step.name, first=step.first, last=step.last, moved=moved, cut=step.cut, partial=step.partial)
        )
        step = step.before
    return Filled(seconds=state[0], ranges=tuple(reversed(ranges)))


class _Pass:
    """All assignments whose first device is one that takes ``cpu`` for moved parts, in ``order`` or, None, in any.

    Of an order each device is used or left out.
    """

    def __init__(
        self,
        costs: LayerCosts,
        bins: Sequence[Bin],
        cpu: tuple[float, ...],
        order: Sequence[int] | None,
        sums: Sums,
        same: Sequence[int],
        *,
        first: int,
        may_move: bool,
    ) -> None:
        self.costs, self.bins, self.cpu, self.order = costs, bins, cpu, order
        self.first, self.may_move, self.same = first, may_move, same
        self.begins, self.rooms = (_rooms(costs, bins, cpu, sums, is_first=is_first) for is_first in (True, False))

    def even(self) -> State | None:
        """One assignment, if it is one: the layers over all devices from the first on in proportion to their room."""
        order = list(self.order or range(len(self.bins)))
        at = next(at for at, index in enumerate(order) if self.bins[index].cpu == self.cpu)
        begin, later = order[at], [*order[at + 1 :], *(() if self.order else order[:at])]
        rooms = [self.begins[begin], *(self.rooms[index] for index in later)]
        whole, held = rooms[0].whole, list(accumulate(max(0, room.size) for room in rooms))
        state, start = BEGIN, self.first
        for room, size in zip(rooms, held, strict=True):
            share = (whole[-1] - whole[self.first]) * size / max(1, held[-1])
            end = bisect_left(whole, whole[self.first] + share, start)
            row: Row = [None] * len(whole)
            if start < end < room.too_far(start, may_move=self.may_move):
                room.extend(row, state, start, range(end, end + 1), Limit(inf, (0.0,) * len(whole)))
            if (reached := row[end]) is None:
                return None
            state, start = reached, end
        return state if start == len(self.costs.base) else None

    def best(self, most: float) -> State | None:
        """The best assignment, none that takes more than ``most`` seconds."""
        bound = relaxed(self.costs, self.bins, self.cpu, self.first, self.same, may_move=self.may_move)
        if bound.tail[self.first] > most + sum(bound.worth):
            return None
        row: Row = [None] * (len(self.costs.base) + 1)
        row[self.first] = BEGIN
        return self._in_any_order(row, bound, most) if self.order is None else self._in_order(row, bound, most)

    def _in_any_order(self, begun: Row, bound: Relaxed, most: float) -> State | None:
        """One row of best states per set of used devices; a set is how many of each kind."""
        alike = _alike(self.costs, self.bins)
        rows = {(0,) * len(alike): begun}
        for used, more, index in _walk(alike):
            later = [i for group, count in zip(alike, more, strict=True) for i in group[count:]]
            after = rows.setdefault(more, [None] * len(begun))
            if any(used):
                self._extend(after, rows[used], self.rooms[index], later, bound, most)
            elif self.bins[index].cpu == self.cpu:
                self._extend(after, begun, self.begins[index], later, bound, most)
        return min((row[-1] for row in rows.values() if row[-1]), key=lambda state: state[:4], default=None)

    def _in_order(self, begun: Row, bound: Relaxed, most: float) -> State | None:
        """One row of best states, whatever devices were left out."""
        best: Row = [None] * len(begun)
        order = self.order or ()
        for position, index in enumerate(order):
            after, later = list(best), order[position + 1 :]
            self._extend(after, best, self.rooms[index], later, bound, most)
            if self.bins[index].cpu == self.cpu:
                self._extend(after, begun, self.begins[index], later, bound, most)
            best = after
        return best[-1]

    def _extend(self, after: Row, row: Row, room: Room, later: Sequence[int], bound: Relaxed, most: float) -> None:
        """Try every range in ``room`` that starts where some state of ``row`` ended.

        Devices that may come ``later`` must hold the layers that are left, in the seconds that are left.
        """
        left = sum(max(0, self.rooms[index].size) for index in later)
        least = room.least_end(left, may_move=self.may_move)
        limit = Limit(most + sum(bound.worth[index] for index in later), bound.tail)
        for start, reached in enumerate(row[:-1]):
            if reached is not None:
                ends = range(max(start + 1, least), room.too_far(start, may_move=self.may_move))
                room.extend(after, reached, start, ends, limit)

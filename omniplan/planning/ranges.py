"""Contiguous layer ranges over devices in the least predicted time: a dynamic programme."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import accumulate, product
from math import inf, prod
from operator import add
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
    cuts: Iterable[Collection[tuple[str, ...]] | None] = (None,),
    gain: float = 0.0,
    most: float = inf,
) -> Filled | None:
    """Ranges that hold layers ``first`` to the last on some of ``bins``, or None when no assignment fits.

    The least predicted time wins, exactly, among all orders of the devices and all contiguous ranges that keep whole
    layers from one end on, the back of a range that starts with the model, the front of any other, and next to them
    perhaps some projections of one more. Another order than the given one must save ``gain`` of the time, and is not
    tried where that is infinite. The projections that such layers may move are one of ``cuts``, None for
    any. A moved part never counts as faster than a kept one, so as few move as must. Nothing comes when more than
    ``most`` seconds are taken.

    O(kinds of first device x sets of devices x devices x layers^2) with prefix sums, at worst: whatever cannot take
    less than an assignment at hand is left out. Devices that are alike are used
    in their order; with more than 40 sets of used devices only the given order is tried, and the one that has the
    device in front which streams fastest.
    """
    if _least_bytes(costs, first, may_move=may_move) > sum(max(0, *_sizes(costs, bin_)) for bin_ in bins):
        return None
    fronts = [
        _Front(each, bins, cpu, sums, same, first=first, may_move=may_move)
        for each in map(partial(_limited, costs), cuts)
        for sums, same in ((Sums.of(each, bins), kinds(each, bins)),)
        for cpu in dict.fromkeys(bin_.cpu for bin_ in bins)
    ]
    given, others = range(len(bins)), _orders(bins, _alike(costs, bins)) if gain < inf else ()
    plain = _best([_Pass(front, given) for front in fronts], most * (1 + gain if gain < inf else 1))
    enough = plain[0] / (1 + gain) if plain else most
    other = _best([_Pass(front, order) for front in fronts for order in others], enough)
    found = [state for state in (plain, other) if state and state[0] <= most]
    return _filled(min(found, key=lambda state: state[:4])) if found else None


def fits(costs: LayerCosts, bins: Sequence[Bin], *, may_move: bool, first: int = 0) -> bool:
    """Whether ``fill`` finds anything: whether devices reach the last layer when every range is as long as can be."""
    alike = _alike(costs, bins)
    sums = list(accumulate(costs.base if may_move else map(add, costs.base, costs.movable), initial=0))
    sizes = [_sizes(costs, bin_) for bin_ in bins]
    for order in (range(len(bins)), *_orders(bins, alike)):
        reached: dict[tuple[int, ...], int] = {}
        for used, more, index in _walk(alike) if order is None else (((1,), (1,), index) for index in order):
            begin, later = sizes[index]
            starts = [(begin, first)] if order or not any(used) else []
            if used in reached:
                starts.append((later, reached[used]))
            for size, start in starts:
                end = bisect_right(sums, size + sums[start], start) - 1
                if end > max(start, reached.get(more, 0)):
                    reached[more] = end
        if len(costs.base) in reached.values():
            return True
    return False


def _limited(costs: LayerCosts, cuts: Collection[tuple[str, ...]] | None) -> LayerCosts:
    """The costs with no other projections to move than ``cuts``."""
    if cuts is None:
        return costs
    return replace(costs, partials=tuple(tuple(p for p in row if p.moved in cuts) for row in costs.partials))


def _least_bytes(costs: LayerCosts, first: int, *, may_move: bool) -> int:
    """Bytes that layers from ``first`` on take on devices at least."""
    return sum(costs.base[first:]) + (0 if may_move else sum(costs.movable[first:]))


def _sizes(costs: LayerCosts, bin_: Bin) -> tuple[int, int]:
    """Bytes for layers on a device that is the first in use, and on one that is not."""
    return bin_.room(costs, is_first=True), bin_.room(costs, is_first=False)


def _best(passes: Sequence[_Pass], most: float) -> State | None:
    """The best assignment of any pass in at most so many seconds; among equals that of the first one."""
    least = min((most, *(state[0] for each in passes if (state := each.even()))))
    found: list[tuple[tuple[float, ...], int, State]] = []
    for index, each in sorted(enumerate(passes), key=lambda item: sum(item[1].front.cpu)):
        if state := each.best(ROUNDING * least):
            least = min(least, state[0])
            found.append((state[:4], index, state))
    best = min(found)[2] if found else None
    return None if best is None or best[0] > most else best


def _orders(bins: Sequence[Bin], alike: Sequence[Sequence[int]]) -> list[tuple[int, ...] | None]:
    """Orders of devices to try beside the given one, None for all of them."""
    if prod(len(group) + 1 for group in alike) <= _MOST_SETS:
        return [None]
    given = tuple(range(len(bins)))
    fastest = tuple(sorted(given, key=lambda index: sum(bins[index].cpu)))
    return [fastest] if fastest != given else []


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


class _Front:
    """What all passes have in common whose first device is one that takes ``cpu`` for moved parts."""

    def __init__(
        self,
        costs: LayerCosts,
        bins: Sequence[Bin],
        cpu: tuple[float, ...],
        sums: Sums,
        same: Sequence[int],
        *,
        first: int,
        may_move: bool,
    ) -> None:
        self.costs, self.bins, self.cpu, self.same = costs, bins, cpu, same
        self.first, self.may_move = first, may_move
        self.excess = [bin_.excess(costs, cpu) for bin_ in bins]
        with_excess = zip(bins, self.excess, strict=True)
        each = frozenset(same)
        self.rooms = [Room.of(costs, bin_, rank, more, sums, each) for rank, (bin_, more) in enumerate(with_excess)]
        self.begins = [
            replace(room, size=bin_.room(costs, is_first=True)) for room, bin_ in zip(self.rooms, bins, strict=True)
        ]

    @cached_property
    def bound(self) -> Relaxed:
        """What layers take at least."""
        return relaxed(self.costs, self.bins, self.excess, self.first, self.same, may_move=self.may_move)


class _Pass:
    """All assignments of one front in ``order`` or, None, in any; of an order each device is used or left out."""

    def __init__(self, front: _Front, order: Sequence[int] | None) -> None:
        self.front, self.order = front, order
        self.costs, self.bins, self.cpu, self.first = front.costs, front.bins, front.cpu, front.first
        self.begins, self.rooms, self.may_move = front.begins, front.rooms, front.may_move

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
        bound = self.front.bound
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

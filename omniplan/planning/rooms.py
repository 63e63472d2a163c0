"""One device in one pass of the programme: what it holds from layer to layer, and in which time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import add
from typing import Final

from omniplan.planning.costs import LayerCosts, Partial

# Sums of seconds in another order are equal to within this factor.
ROUNDING: Final = 1 + 1e-9


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

    def room(self, costs: LayerCosts, *, is_first: bool) -> int:
        """Bytes for layers, below zero where not even what they need besides fits."""
        reserve = self.reserve_first if is_first else self.reserve
        return self.budget - reserve - costs.shared - costs.fixed.get(self.name, 0)

    def excess(self, costs: LayerCosts, cpu: Sequence[float]) -> list[float]:
        """Seconds that each layer takes longer with its movable part on the CPU, in ``cpu`` seconds there."""
        return [
            max(0.0, there - here) if size else 0.0
            for there, here, size in zip(cpu, self.part, costs.movable, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Trail:
    """The last range of a state, and the one before it; ``moved`` are the ends of what moves."""

    before: Trail | None
    name: str
    first: int
    last: int
    moved: tuple[int, int]
    cut: int | None
    partial: Partial | None


# Seconds, layers moved, layers cut, devices out of their order: ties go to the smaller. Then the rank of the last
# device, and how it came to this.
State = tuple[float, int, int, int, int, Trail | None]
Row = list[State | None]
BEGIN: Final[State] = (0.0, 0, 0, 0, -1, None)


@dataclass(frozen=True, slots=True)
class Limit:
    """Seconds that all may take, and what the layers from each number on take at least."""

    most: float
    tail: Sequence[float]


@dataclass(frozen=True, slots=True)
class Sums:
    """Prefix sums over layers that are the same in every pass: bytes, how many have something to move, seconds."""

    base: list[int]
    movable: list[int]
    whole: list[int]
    count: list[int]
    kept: Sequence[list[float]]

    @classmethod
    def of(cls, costs: LayerCosts, bins: Sequence[Bin]) -> Sums:
        """The sums of ``costs``, and of what layers take on each of ``bins``."""
        base, movable = (list(accumulate(sizes, initial=0)) for sizes in (costs.base, costs.movable))
        count = list(accumulate((1 if size else 0 for size in costs.movable), initial=0))
        kept = [list(accumulate(bin_.kept, initial=0.0)) for bin_ in bins]
        return cls(base=base, movable=movable, whole=list(map(add, base, movable)), count=count, kept=kept)


@dataclass(frozen=True, slots=True)
class Room:
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
    least: float
    partials: Sequence[Sequence[Partial]]

    @classmethod
    def of(
        cls, costs: LayerCosts, bin_: Bin, rank: int, excess: Sequence[float], sums: Sums, kinds: Collection[int]
    ) -> Room:
        """The device ``bin_``, not the first in use, where layers take ``excess`` seconds more once they have moved.

        ``kinds`` are layers of every kind.
        """
        return cls(
            name=bin_.name,
            rank=rank,
            size=bin_.room(costs, is_first=False),
            base=sums.base,
            movable=sums.movable,
            whole=sums.whole,
            kept=sums.kept[rank],
            moved=list(accumulate(excess, initial=0.0)),
            count=sums.count,
            handover=bin_.handover,
            least=min((seconds / size for seconds, size in _freed(costs, bin_, excess, kinds)), default=0.0),
            partials=costs.partials,
        )

    def too_far(self, start: int, *, may_move: bool) -> int:
        """The least end, beyond the last layer if need be, for which there is no room; bytes only grow with a range."""
        sums = self.base if may_move else self.whole
        return bisect_right(sums, self.size + sums[start], start)

    def least_end(self, left: int, *, may_move: bool) -> int:
        """The least end after which the layers that follow need no more than ``left`` bytes."""
        sums = self.base if may_move else self.whole
        return bisect_left(sums, sums[-1] - left)

    def extend(self, after: Row, reached: State, start: int, ends: range, limit: Limit) -> None:
        """Better ``after`` by every range from ``start``, where ``reached`` ended, to one of ``ends``."""
        full = max(ends.start, min(ends.stop, bisect_right(self.whole, self.size + self.whole[start], start)))
        self._keep(after, reached, start, range(ends.start, full), limit)
        self._move(after, reached, start, range(full, ends.stop), limit)

    def _keep(self, after: Row, reached: State, start: int, ends: range, limit: Limit) -> None:
        """The ranges of which everything fits."""
        seconds, moved, cut, disorder, rank, before = reached
        disorder += self.rank < rank
        kept, begun = self.kept, self.kept[start]
        tail, most = limit.tail, limit.most
        for end in ends:
            score = seconds + (kept[end] - begun)
            current = after[end]
            if score + tail[end] > most or (current is not None and score > current[0]):
                continue
            if current is None or (score, moved, cut, disorder) < current[:4]:
                step = Trail(before, self.name, start, end, (start, start), None, None)
                after[end] = (score, moved, cut, disorder, self.rank, step)

    def _move(self, after: Row, reached: State, start: int, ends: range, limit: Limit) -> None:
        """The ranges of which something must move: the fewest layers at one end, and perhaps some of one more.

        That end is where a neighbour's moved layers join into one pattern.
        """
        seconds, moved, cut, disorder, rank, before = reached
        disorder += self.rank < rank
        movable, whole, kept, excess, counts = self.movable, self.whole, self.kept, self.moved, self.count
        partials, handover, tail, most = self.partials, self.handover, limit.tail, limit.most
        space, begun, least, held = self.size + self.base[start], kept[start], self.least, self.size + whole[start]
        for end in ends:
            current, more = after[end], kept[end] - begun
            score = seconds + more + least * (whole[end] - held)
            if score + tail[end] > most or (current is not None and score > ROUNDING * current[0]):
                # Slower already if every byte that must move takes as little as any.
                continue
            if start > 0:
                first, last = start, bisect_right(movable, whole[end] - space - 1, start, end + 1)
                edge, left = last - 1, space - whole[end] + movable[last]
            else:
                room = space - whole[end] + movable[end]
                first, last = bisect_right(movable, movable[start] + room, start, end + 1) - 1, end
                edge, left = first, room - movable[first] + movable[start]
            count = counts[last] - counts[first]
            more += excess[last] - excess[first] + count * handover
            chosen: Partial | None = None
            for partial in partials[edge] if partials else ():
                gain = partial.share * (excess[edge + 1] - excess[edge])
                if partial.size <= left and gain > 0:
                    more, chosen = more - gain, partial
                    break
            score = seconds + more
            if score + tail[end] > most or (current is not None and score > current[0]):
                continue
            found = (score, moved + count, cut + (chosen is not None), disorder)
            if current is None or found < current[:4]:
                cut_at = None if chosen is None else edge
                step = Trail(before, self.name, start, end, (first, last), cut_at, chosen)
                after[end] = (*found, self.rank, step)


def _freed(
    costs: LayerCosts, bin_: Bin, excess: Sequence[float], kinds: Collection[int]
) -> Iterator[tuple[float, int]]:
    """Seconds that layers take longer, and bytes that they leave, for every way to move something."""
    for il in kinds:
        if costs.movable[il]:
            yield excess[il] + bin_.handover, costs.movable[il]
            for partial in costs.partials[il] if costs.partials else ():
                if partial.size < costs.movable[il]:
                    yield (1 - partial.share) * excess[il] + bin_.handover, costs.movable[il] - partial.size

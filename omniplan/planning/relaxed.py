"""What an assignment takes at least, before any is tried: layers may be divided, and bytes of a device have a price."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from omniplan.planning.costs import LayerCosts
from omniplan.planning.rooms import Bin


@dataclass(frozen=True, slots=True)
class Relaxed:
    """Lagrange's bound: no assignment of the layers from a number on takes less than their ``tail`` without ``worth``.

    Every layer pays for its bytes, and is where it then takes least; ``worth`` is what all bytes of each device cost,
    and no assignment pays for more than there are. It holds for any prices, and for the devices that are left.
    """

    tail: Sequence[float]
    worth: Sequence[float]


def kinds(costs: LayerCosts, bins: Sequence[Bin]) -> Sequence[int]:
    """For every layer the first one that is like it in bytes and in seconds on every device."""
    columns = [column for bin_ in bins for column in (bin_.kept, bin_.part, bin_.cpu)]
    layers = zip(costs.base, costs.movable, costs.partials or (() for _ in costs.base), *columns, strict=True)
    known: dict[object, int] = {}
    return [known.setdefault(layer, il) for il, layer in enumerate(layers)]


def relaxed(
    costs: LayerCosts,
    bins: Sequence[Bin],
    excess: Sequence[Sequence[float]],
    first: int,
    alike: Sequence[int],
    *,
    may_move: bool,
) -> Relaxed:
    """The bound for layers from ``first`` on, with prices of even filling.

    ``excess`` are seconds that each takes longer on each device once it has moved, ``alike`` their ``kinds``.
    """
    sizes = [max(0, bin_.room(costs, is_first=False), bin_.room(costs, is_first=True)) for bin_ in bins]
    total = sum(costs.base[first:]) + sum(costs.movable[first:])
    if may_move and total > sum(sizes):
        prices = [_saved(costs, bin_, more, first) for bin_, more in zip(bins, excess, strict=True)]
    else:
        prices = _even(bins, sizes, first, total)
    known: dict[int, float] = {}
    least = [0.0] * len(costs.base)
    for il in range(first, len(least)):
        kind = alike[il]
        if kind not in known:
            known[kind] = min(
                seconds + price * size
                for bin_, price, more in zip(bins, prices, excess, strict=True)
                for seconds, size in _ways(costs, bin_, il, more[il], may_move=may_move)
            )
        least[il] = known[kind]
    tail = tuple(accumulate(reversed(least), initial=0.0))[::-1]
    return Relaxed(tail=tail, worth=[price * size for price, size in zip(prices, sizes, strict=True)])


def _saved(costs: LayerCosts, bin_: Bin, excess: Sequence[float], first: int) -> float:
    """Seconds that a byte more on a device saves while something is on the CPU."""
    layers = (il for il in range(first, len(costs.movable)) if costs.movable[il])
    return min(((excess[il] + bin_.handover) / costs.movable[il] for il in layers), default=0.0)


def _even(bins: Sequence[Bin], sizes: Sequence[int], first: int, total: int) -> list[float]:
    """What a byte on each device is faster than on the slowest that is needed, where all have room."""
    rates = [sum(bin_.kept[first:]) / max(1, total) for bin_ in bins]
    slowest, left = 0.0, total
    for rate, size in sorted(zip(rates, sizes, strict=True)):
        if left > 0:
            slowest, left = rate, left - size
    return [max(0.0, slowest - rate) for rate in rates]


def _ways(costs: LayerCosts, bin_: Bin, il: int, excess: float, *, may_move: bool) -> Iterator[tuple[float, int]]:
    """Seconds and bytes of a layer on a device, whole or with something on the CPU."""
    kept, base, movable = bin_.kept[il], costs.base[il], costs.movable[il]
    yield kept, base + movable
    if may_move and movable:
        yield kept + excess + bin_.handover, base
        for partial in costs.partials[il] if costs.partials else ():
            yield kept + (1 - partial.share) * excess + bin_.handover, base + partial.size

"""The two engines of the search against brute force: filling devices, and writing a set of layers as a pattern."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniplan.llamacpp.flags import ecmascript
from omniplan.planning import patterns
from omniplan.planning.costs import LayerCosts, Partial
from omniplan.planning.ranges import Filled, fill, fits
from omniplan.planning.rooms import Bin
from tests.property.strategies import examples

SECONDS = (0.0, 0.5, 1.0, 1.5, 4.0)


def problems(*, even: bool = False) -> st.SearchStrategy[tuple[LayerCosts, list[Bin]]]:
    """Costs and one to three devices, some alike; with ``even`` only what is moved takes time, a second a layer.

    Made from a seed: drawing thousands of problems number by number would take longer than solving them.
    """
    return st.integers(0, 2**32).map(lambda seed: _problem(Random(seed), even=even))


def _costs(random: Random, *, even: bool) -> LayerCosts:
    """Up to four layers with small sizes; the movable ones all alike and never cut when ``even``."""
    n = random.randint(1, 4)
    movable = (random.randint(0, 6),) * n if even else tuple(random.randint(0, 6) for _ in range(n))
    return LayerCosts(
        base=tuple(random.randint(1, 6) for _ in range(n)),
        movable=movable,
        on_cpu=movable,
        active_share=1.0,
        shared=random.randint(0, 2),
        tensors="x",
        partials=() if even else tuple(tuple(_partials(random, size)) for size in movable),
        fixed=random.choice([{}, {"0": 3}]),
    )


def _partials(random: Random, size: int) -> list[Partial]:
    """Ways to keep some bytes of a layer, those that keep most first."""
    kept = [random.randint(1, size - 1) for _ in range(random.randint(0, 2))] if size > 1 else []
    found = [Partial(moved=(str(i),), size=stay, share=stay / size) for i, stay in enumerate(kept)]
    return sorted(found, key=lambda partial: -partial.share)


def _problem(random: Random, *, even: bool) -> tuple[LayerCosts, list[Bin]]:
    costs_ = _costs(random, even=even)
    n = len(costs_.base)

    def times() -> tuple[float, ...]:
        return (0.0,) * n if even else tuple(random.choices(SECONDS, k=n))

    links = [(1.0,) * n] if even else [times() for _ in range(random.randint(1, 2))]
    bins: list[Bin] = []
    for index in range(random.choice((1, 2, 2, 2, 3))):
        if bins and random.random() < 0.5:
            bins.append(replace(bins[-1], name=f"{index}"))
            continue
        bins.append(
            Bin(
                name=f"{index}",
                budget=random.randint(0, 40),
                reserve=(reserve := random.randint(0, 4)),
                reserve_first=reserve if even else random.randint(0, 6),
                kept=times(),
                part=times(),
                cpu=random.choice(links),
                handover=0.0 if even else random.choice((0.0, 0.5, 3.0)),
            )
        )
    return costs_, bins


Part = tuple[Bin, int, int]
# The layers of a range that move, and the one of them that is cut, and how.
Trim = tuple[range, int | None, Partial | None]


def room(bin_: Bin, costs_: LayerCosts, start: int, end: int, *, is_first: bool) -> int:
    """Bytes left on a device for the movable parts of layers ``start`` to ``end - 1``."""
    reserve = bin_.reserve_first if is_first else bin_.reserve
    return bin_.budget - reserve - costs_.shared - costs_.fixed.get(bin_.name, 0) - sum(costs_.base[start:end])


def divisions(first: int, n: int, bins: Sequence[Bin], *, reorder: bool) -> Iterator[list[Part]]:
    """Every way to give contiguous layers to some of the bins, in any order or in theirs."""
    orders = itertools.permutations(bins) if reorder else [tuple(bins)]
    for order in orders:
        for cuts in itertools.combinations_with_replacement(range(first, n + 1), len(bins) - 1):
            bounds = (first, *cuts, n)
            parts = zip(order, bounds, bounds[1:], strict=False)
            yield [(bin_, start, end) for bin_, start, end in parts if start < end]


def trims(costs_: LayerCosts, start: int, end: int) -> Iterator[Trim]:
    """What may be moved out of a range: some at its front, or at its back when it starts with the model.

    Of the layer next to the kept ones some projections may stay.
    """
    for count in range(end - start + 1):
        out = range(start, start + count) if start > 0 else range(end - count, end)
        yield out, None, None
        edge = None if not out else out[-1] if start > 0 else out[0]
        if edge is not None and costs_.partials:
            yield from ((out, edge, partial) for partial in costs_.partials[edge])


def seconds_of(costs_: LayerCosts, parts: Sequence[Part], moved: Sequence[Trim]) -> float:
    """Seconds of layers on devices, of which some have their movable part on the CPU."""
    streams = parts[0][0].cpu
    total = 0.0
    for (bin_, start, end), (out, edge, partial) in zip(parts, moved, strict=True):
        total += sum(bin_.kept[start:end])
        for il in out:
            stays = partial.share if partial is not None and il == edge else 0.0
            if costs_.movable[il]:
                total += max(0.0, streams[il] - bin_.part[il]) * (1 - stays) + bin_.handover
    return total


def kept_bytes(costs_: LayerCosts, start: int, end: int, trim: Trim) -> int:
    """Movable bytes that stay on the device of a range."""
    out, _, partial = trim
    return sum(costs_.movable[il] for il in range(start, end) if il not in out) + (partial.size if partial else 0)


def counts(costs_: LayerCosts, moved: Sequence[Trim]) -> tuple[int, int]:
    """Parts that move, and layers that are cut."""
    return (
        sum(1 for out, _, _ in moved for il in out if costs_.movable[il]),
        sum(1 for _, edge, _ in moved if edge is not None),
    )


def scores(
    costs_: LayerCosts, bins: Sequence[Bin], *, may_move: bool, first: int, reorder: bool
) -> Iterator[tuple[float, int, int]]:
    """Seconds, moved parts and cut layers of everything that fits."""
    for division in divisions(first, len(costs_.base), bins, reorder=reorder):
        rooms = [
            room(bin_, costs_, start, end, is_first=not index) for index, (bin_, start, end) in enumerate(division)
        ]
        choices: list[list[Trim]] = [
            [trim for trim in (trims(costs_, start, end) if may_move else [(range(0), None, None)])
             if kept_bytes(costs_, start, end, trim) <= left]
            for left, (_, start, end) in zip(rooms, division, strict=True)
        ]  # fmt: skip
        for moved in itertools.product(*choices):
            yield (seconds_of(costs_, division, moved), *counts(costs_, moved))


def score(costs_: LayerCosts, bins: Sequence[Bin], found: Filled) -> tuple[float, int, int]:
    """What a result takes, moves and cuts, after checking that it fits and says its own seconds."""
    named = {bin_.name: bin_ for bin_ in bins}
    parts = [(named[part.name], part.first, part.last) for part in found.ranges]
    moved: list[Trim] = []
    for index, ((bin_, start, end), part) in enumerate(zip(parts, found.ranges, strict=True)):
        out = range(part.moved[0], part.moved[-1] + 1) if part.moved else range(0)
        moved.append((out, part.cut, part.partial))
        assert kept_bytes(costs_, start, end, moved[-1]) <= room(bin_, costs_, start, end, is_first=not index)
    seconds = seconds_of(costs_, parts, moved)
    assert found.seconds == pytest.approx(seconds)
    return (seconds, *counts(costs_, moved))


def limited(costs_: LayerCosts, cuts: Sequence[tuple[str, ...]] | None) -> LayerCosts:
    """Costs that offer only these ways to cut a layer."""
    if cuts is None:
        return costs_
    return replace(costs_, partials=tuple(tuple(p for p in row if p.moved in cuts) for row in costs_.partials))


@examples(1000)
@given(
    problem=problems(),
    may_move=st.booleans(),
    first=st.integers(0, 3),
    reorder=st.booleans(),
    cuts=st.sampled_from([None, None, [], [("0",)]]),
)
def test_fill_equals_brute_force(
    problem: tuple[LayerCosts, list[Bin]],
    may_move: bool,
    first: int,
    reorder: bool,
    cuts: list[tuple[str, ...]] | None,
) -> None:
    """The shortest time among all orders, divisions, moves and cuts; then the fewest moves. None if nothing fits."""
    costs_, bins = problem
    first = min(first, len(costs_.base) - 1)
    every = scores(limited(costs_, cuts), bins, may_move=may_move, first=first, reorder=reorder)
    best = min(every, default=None)
    found = fill(costs_, bins, may_move=may_move, first=first, cuts=[cuts], gain=0.0 if reorder else inf)

    assert not reorder or fits(costs_, bins, may_move=may_move, first=first) is (best is not None)
    if best is None:
        assert found is None
        return
    assert found is not None
    covered = [il for part in found.ranges for il in range(part.first, part.last)]
    assert list(range(first, len(costs_.base))) == covered
    assert best == pytest.approx(score(costs_, bins, found))


@examples(300)
@given(problem=problems(), may_move=st.booleans(), reorder=st.booleans(), share=st.floats(0.5, 2))
def test_nothing_comes_that_takes_more_than_it_may(
    problem: tuple[LayerCosts, list[Bin]], may_move: bool, reorder: bool, share: float
) -> None:
    """With seconds to keep comes what comes without, where it keeps them, and nothing else."""
    costs_, bins = problem
    gain = 0.0 if reorder else inf
    found = fill(costs_, bins, may_move=may_move, gain=gain)
    most = share * found.seconds if found else share
    keeps = found is not None and found.seconds <= most
    assert fill(costs_, bins, may_move=may_move, gain=gain, most=most) == (found if keeps else None)


@examples(20)
@given(problem=problems(), copies=st.integers(5, 8))
def test_many_devices_are_used_in_order(problem: tuple[LayerCosts, list[Bin]], copies: int) -> None:
    """With more different devices than orders can be tried of, a result is no worse than that of the given order."""
    costs_, bins = problem
    many = [replace(bins[0], name=f"n{index}", budget=bins[0].budget + index) for index in range(copies)]
    ordered = fill(costs_, many, may_move=True, gain=inf)
    found = fill(costs_, many, may_move=True)

    # Another order may fit where the given one does not.
    if ordered is not None:
        assert found is not None
        assert found.seconds <= ordered.seconds


@examples(200)
@given(problem=problems(even=True))
def test_ends_suffice_for_equal_layers(problem: tuple[LayerCosts, list[Bin]]) -> None:
    """Where all layers move the same, no free choice of layers moves fewer than trimming one end of each range."""
    costs_, bins = problem
    size, fewest = costs_.movable[0], None
    for division in divisions(0, len(costs_.base), bins, reorder=True):
        rooms = [(room(bin_, costs_, start, end, is_first=False), end - start) for bin_, start, end in division]
        if min(left for left, _ in rooms) >= 0:
            moved = sum(max(0, count - left // size) if size else 0 for left, count in rooms)
            fewest = moved if fewest is None else min(fewest, moved)
    found = fill(costs_, bins, may_move=True)

    assert fewest == (None if found is None else score(costs_, bins, found)[1])


@examples(200)
@given(wanted=st.sets(st.integers(0, 130), min_size=1) | st.sets(st.integers(0, 1100), min_size=1, max_size=400))
def test_a_pattern_matches_its_layers_only(wanted: set[int]) -> None:
    """The alternative matches each layer of the set and no other, as a whole number."""
    pattern = re.compile(patterns.layers(wanted))

    assert wanted == {il for il in range(1200) if pattern.fullmatch(str(il))}


@examples(20)
@given(wanted=st.sets(st.integers(0, 130), min_size=1))
def test_an_override_moves_its_layers_only(wanted: set[int]) -> None:
    """In llama.cpp's own grammar an override finds the routed experts of its layers and nothing else."""
    override = patterns.to_cpu(wanted, patterns.EXPERTS)
    matches = ecmascript.compile_pattern(override.pattern).matches
    kinds = ("ffn_up_exps", "ffn_gate_exps", "ffn_down_exps", "ffn_gate_up_exps", "ffn_down_shexp", "ffn_up", "attn_q")
    moved = {(il, kind) for il in range(140) for kind in kinds if matches(f"blk.{il}.{kind}.weight")}

    assert override.buffer_type == "CPU"
    assert {(il, kind) for il in wanted for kind in kinds if "_exps" in kind} == moved

"""The two engines of the search against brute force: filling devices, and writing a set of layers as a pattern."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniplan.llamacpp import ecmascript
from omniplan.search import patterns
from omniplan.search.costs import LayerCosts
from omniplan.search.ranges import Bin, Filled, fill
from tests.property.strategies import examples

SIZES = st.integers(0, 6)
SECONDS = st.sampled_from([0.0, 0.5, 1.0, 1.5, 4.0])


@st.composite
def costs(draw: st.DrawFn, *, even: bool = False) -> LayerCosts:
    """Up to six layers with small sizes; the movable ones all alike when ``even``."""
    n = draw(st.integers(1, 6))
    base = tuple(draw(st.lists(st.integers(1, 6), min_size=n, max_size=n)))
    movable = (draw(SIZES),) * n if even else tuple(draw(st.lists(SIZES, min_size=n, max_size=n)))
    shared = draw(st.integers(0, 2))
    return LayerCosts(base=base, movable=movable, on_cpu=movable, active_share=1.0, shared=shared, tensors="x")


@st.composite
def problems(draw: st.DrawFn, *, even: bool = False) -> tuple[LayerCosts, list[Bin]]:
    """Costs and one to three devices, some alike; with ``even`` only what is moved takes time, a second a layer."""
    costs_ = draw(costs(even=even))
    n = len(costs_.base)
    times = st.lists(SECONDS, min_size=n, max_size=n).map(tuple)
    links = draw(st.lists(times, min_size=1, max_size=2))
    zero = (0.0,) * n
    bins = [
        Bin(
            name=f"{index}",
            budget=draw(st.integers(0, 40)),
            reserve=draw(st.integers(0, 4)),
            kept=zero if even else draw(times),
            part=zero if even else draw(times),
            cpu=(1.0,) * n if even else draw(st.sampled_from(links)),
        )
        for index in range(draw(st.integers(1, 3)))
    ]
    return costs_, bins


def room(bin_: Bin, costs_: LayerCosts, start: int, end: int) -> int:
    """Bytes left on a device for the movable parts of layers ``start`` to ``end - 1``."""
    return bin_.budget - bin_.reserve - costs_.shared - sum(costs_.base[start:end])


def divisions(first: int, n: int, bins: Sequence[Bin]) -> Iterator[list[tuple[Bin, int, int]]]:
    """Every way to give contiguous layers to some of the bins, in order."""
    for cuts in itertools.combinations_with_replacement(range(first, n + 1), len(bins) - 1):
        bounds = (first, *cuts, n)
        parts = zip(bins, bounds, bounds[1:], strict=False)
        yield [(bin_, start, end) for bin_, start, end in parts if start < end]


def trims(start: int, end: int) -> Iterator[range]:
    """The layers that may be moved out of a range: some at its front, or at its back when it starts with the model."""
    for count in range(end - start + 1):
        yield range(start, start + count) if start > 0 else range(end - count, end)


def seconds_of(costs_: LayerCosts, parts: Sequence[tuple[Bin, int, int]], moved: Sequence[Iterable[int]]) -> float:
    """Seconds of layers on devices, of which some have their movable part on the CPU."""
    streams = parts[0][0].cpu
    total = 0.0
    for (bin_, start, end), out in zip(parts, moved, strict=True):
        total += sum(bin_.kept[start:end])
        total += sum(max(0.0, streams[il] - bin_.part[il]) for il in out if costs_.movable[il])
    return total


def scores(costs_: LayerCosts, bins: Sequence[Bin], *, may_move: bool, first: int) -> Iterator[tuple[float, int]]:
    """Seconds and moved parts of everything that fits."""
    for division in divisions(first, len(costs_.base), bins):
        choices = [list(trims(start, end)) if may_move else [range(0)] for _, start, end in division]
        for moved in itertools.product(*choices):
            kept = [
                sum(costs_.movable[il] for il in range(start, end) if il not in out)
                for (_, start, end), out in zip(division, moved, strict=True)
            ]
            if all(
                size <= room(bin_, costs_, start, end) for size, (bin_, start, end) in zip(kept, division, strict=True)
            ):
                count = sum(1 for out in moved for il in out if costs_.movable[il])
                yield seconds_of(costs_, division, moved), count


def score(costs_: LayerCosts, bins: Sequence[Bin], found: Filled) -> tuple[float, int]:
    """What a result takes and moves, after checking that it fits and says its own seconds."""
    named = {bin_.name: bin_ for bin_ in bins}
    parts = [(named[part.name], part.first, part.last) for part in found.ranges]
    for (bin_, start, end), part in zip(parts, found.ranges, strict=True):
        kept = sum(costs_.movable[il] for il in range(start, end) if il not in part.moved)
        assert kept <= room(bin_, costs_, start, end)
    seconds = seconds_of(costs_, parts, [part.moved for part in found.ranges])
    assert found.seconds == pytest.approx(seconds)
    return seconds, sum(1 for part in found.ranges for il in part.moved if costs_.movable[il])


@examples(2000)
@given(problem=problems(), may_move=st.booleans(), first=st.integers(0, 3))
def test_fill_equals_brute_force(problem: tuple[LayerCosts, list[Bin]], may_move: bool, first: int) -> None:
    """The shortest time, then the fewest moved parts, among all contiguous divisions; None only when nothing fits."""
    costs_, bins = problem
    first = min(first, len(costs_.base) - 1)
    best = min(scores(costs_, bins, may_move=may_move, first=first), default=None)
    found = fill(costs_, bins, may_move=may_move, first=first)

    if best is None:
        assert found is None
        return
    assert found is not None
    covered = [il for part in found.ranges for il in range(part.first, part.last)]
    assert list(range(first, len(costs_.base))) == covered
    assert best == score(costs_, bins, found)


@examples(200)
@given(problem=problems(even=True))
def test_ends_suffice_for_equal_layers(problem: tuple[LayerCosts, list[Bin]]) -> None:
    """Where all layers move the same, no free choice of layers moves fewer than trimming one end of each range."""
    costs_, bins = problem
    size, fewest = costs_.movable[0], None
    for division in divisions(0, len(costs_.base), bins):
        rooms = [(room(bin_, costs_, start, end), end - start) for bin_, start, end in division]
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
    pattern, _, buffer = patterns.override(wanted, patterns.EXPERTS, "CPU").rpartition("=")
    matches = ecmascript.compile_pattern(pattern).matches
    kinds = ("ffn_up_exps", "ffn_gate_exps", "ffn_down_exps", "ffn_gate_up_exps", "ffn_down_shexp", "ffn_up", "attn_q")
    moved = {(il, kind) for il in range(140) for kind in kinds if matches(f"blk.{il}.{kind}.weight")}

    assert buffer == "CPU"
    assert {(il, kind) for il in wanted for kind in kinds if "_exps" in kind} == moved

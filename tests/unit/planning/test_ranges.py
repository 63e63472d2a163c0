"""Filling devices with layers, by hand: the last byte that fits, what moves where, and who comes first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf

import pytest

from omniplan.planning.costs import LayerCosts, Partial
from omniplan.planning.ranges import Filled, Range, fill
from omniplan.planning.rooms import Bin

# Layers, one digit each, with what stays of them in bytes and what could move.
COSTS = LayerCosts(base=(2, 3, 4), movable=(0, 0, 0), on_cpu=(0, 0, 0), active_share=1.0, shared=0, tensors="x")
MOVABLE = replace(COSTS, base=(1, 1, 1), movable=(2, 2, 2), on_cpu=(2, 2, 2))


def device(name: str, budget: int, *, kept: float = 1.0, cpu: float = 2.0, reserve: int = 0, first: int = 0) -> Bin:
    """A device for three layers: seconds of each that is whole, half of them its movable part's, and on the CPU."""
    return Bin(
        name=name,
        budget=budget,
        reserve=reserve,
        reserve_first=first,
        kept=(kept,) * 3,
        part=(kept / 2,) * 3,
        cpu=(cpu,) * 3,
    )


def layers(found: Filled | None) -> list[tuple[str, int, int]] | None:
    """Name, first layer and end of every range."""
    return None if found is None else [(item.name, item.first, item.last) for item in found.ranges]


def test_a_device_is_filled_to_its_last_byte() -> None:
    """Nine bytes hold nine; eight do not."""
    assert layers(fill(COSTS, [device("a", 9)], may_move=False)) == [("a", 0, 3)]
    assert fill(COSTS, [device("a", 8)], may_move=False) is None
    assert layers(fill(COSTS, [device("a", 7)], may_move=False, first=1)) == [("a", 1, 3)]
    assert fill(COSTS, [device("a", 6)], may_move=False, first=1) is None


@pytest.mark.parametrize(
    ("budgets", "expected"),
    [
        ((5, 4), [("a", 0, 2), ("b", 2, 3)]),
        ((5, 3), None),
        ((4, 4), None),
        ((2, 7), [("a", 0, 1), ("b", 1, 3)]),
        ((1, 7), None),
        ((4, 5), [("b", 0, 2), ("a", 2, 3)]),
        ((7, 2), [("b", 0, 1), ("a", 1, 3)]),
        ((7, 1), None),
    ],
)
def test_two_devices_are_filled_to_their_last_bytes(
    budgets: tuple[int, int], expected: list[tuple[str, int, int]] | None
) -> None:
    """In the order that fits; where only their own order may be used, the other is none."""
    devices = [device(name, budget) for name, budget in zip("ab", budgets, strict=True)]
    in_order = expected if expected and expected[0][0] == "a" else None

    assert layers(fill(COSTS, devices, may_move=False)) == expected
    assert layers(fill(COSTS, devices, may_move=False, gain=inf)) == in_order


def test_three_devices_take_a_layer_each() -> None:
    """The middle one too is filled to its last byte."""
    for gain in (0.0, inf):
        found = [
            layers(fill(COSTS, [device("a", 2), device("b", size), device("c", 4)], may_move=False, gain=gain))
            for size in (3, 2)
        ]
        assert found == [[("a", 0, 1), ("b", 1, 2), ("c", 2, 3)], None]


@pytest.mark.parametrize(
    ("costs", "reserves"),
    [
        (replace(COSTS, shared=5), {}),
        (replace(COSTS, fixed={"a": 5, "b": 70}), {}),
        (COSTS, {"reserve": 70, "first": 5}),
    ],
    ids=["shared", "fixed", "reserve of the first"],
)
def test_what_else_a_device_holds(costs: LayerCosts, reserves: dict[str, int]) -> None:
    """Copies of shared tensors, pinned weights and a reserve come before layers; the first device has its own."""
    assert layers(fill(costs, [device("a", 14, **reserves)], may_move=False)) == [("a", 0, 3)]
    assert fill(costs, [device("a", 13, **reserves)], may_move=False) is None


def test_the_reserve_of_a_device_that_is_not_the_first() -> None:
    """It needs its own, not the first one's."""
    first = device("a", 5)

    assert layers(fill(COSTS, [first, device("b", 6, reserve=2, first=70)], may_move=False)) == [
        ("a", 0, 2),
        ("b", 2, 3),
    ]
    assert fill(COSTS, [first, device("b", 5, reserve=2, first=70)], may_move=False) is None


def test_the_faster_device_takes_what_it_can() -> None:
    """All layers where it holds them all, else all but those it does not hold."""
    slow = device("a", 9, kept=3.0)

    assert fill(COSTS, [slow, device("b", 9)], may_move=False) == _filled(3.0, ("b", 0, 3))
    assert fill(COSTS, [slow, device("b", 7)], may_move=False) == _filled(5.0, ("a", 0, 1), ("b", 1, 3))


def test_the_last_device_does_not_take_layers_back() -> None:
    """However much room it has: each device takes its layers after those of the device before it."""
    devices = [device("a", 2), device("b", 3), device("c", 9, kept=3.0)]

    assert fill(COSTS, devices, may_move=False, gain=inf) == _filled(5.0, ("a", 0, 1), ("b", 1, 2), ("c", 2, 3))


def test_a_slow_device_may_be_left_after_some_layers() -> None:
    """That it holds them all is no reason for it to keep the last one, which a faster device holds."""
    devices = [device("a", 9, kept=3.0), device("b", 4, kept=2.0)]

    assert fill(COSTS, devices, may_move=False, gain=inf) == _filled(8.0, ("a", 0, 2), ("b", 2, 3))


def test_a_slower_start_may_be_the_only_way() -> None:
    """The first layer would be faster on another device, which then leaves no room for the rest."""
    devices = [device("a", 2), device("b", 9, kept=3.0, reserve=8)]

    assert fill(COSTS, devices, may_move=False, gain=inf) == _filled(9.0, ("b", 0, 3))


def _filled(seconds: float, *ranges: tuple[str, int, int]) -> Filled:
    return Filled(seconds=seconds, ranges=tuple(Range(name=name, first=at, last=end) for name, at, end in ranges))


@pytest.mark.parametrize(("budget", "n_moved"), [(9, 0), (8, 1), (7, 1), (6, 2), (5, 2), (4, 3), (3, 3)])
def test_as_few_parts_move_as_must(budget: int, n_moved: int) -> None:
    """At the back of a range that starts with the model; each costs what the CPU takes longer than the device."""
    found = fill(MOVABLE, [device("a", budget)], may_move=True)
    moved = tuple(range(3 - n_moved, 3))

    assert found == Filled(seconds=3.0 + 1.5 * n_moved, ranges=(Range(name="a", first=0, last=3, moved=moved),))
    assert (fill(MOVABLE, [device("a", budget)], may_move=False) is None) == bool(moved)


def test_what_stays_must_fit() -> None:
    """Two bytes do not hold three layers without their movable parts."""
    assert fill(MOVABLE, [device("a", 2)], may_move=True) is None


def test_devices_that_hold_only_what_stays() -> None:
    """Three layers on two devices that have room for no movable part."""
    found = fill(MOVABLE, [device("a", 1), device("b", 2)], may_move=True)

    assert found is not None
    assert [item.moved for item in found.ranges] == [(0,), (1, 2)]


def test_no_part_moves_that_need_not() -> None:
    """Not even where it costs no time: another device takes the layer whole."""
    found = fill(MOVABLE, [device("a", 8, cpu=0.5), device("b", 3, cpu=0.5)], may_move=True)

    assert found is not None
    assert [item.moved for item in found.ranges] == [(), ()]


@pytest.mark.parametrize(("budget", "moved"), [(6, ()), (5, (1,)), (4, (1,)), (3, (1, 2)), (2, (1, 2))])
def test_a_later_range_moves_its_front(budget: int, moved: tuple[int, ...]) -> None:
    """So that what moves lies together with what the range before it moves at its back."""
    found = fill(MOVABLE, [device("a", budget)], may_move=True, first=1)

    assert found is not None
    assert found.ranges == (Range(name="a", first=1, last=3, moved=moved),)


def test_a_layer_without_a_movable_part_is_not_moved() -> None:
    """It counts for nothing where layers are moved, wherever it stands among them."""
    costs = replace(MOVABLE, movable=(2, 0, 2))
    found = fill(costs, [device("a", 3)], may_move=True)

    assert found is not None
    assert found.seconds == 3 + 2 * 1.5


def test_a_part_is_never_faster_on_the_cpu() -> None:
    """A device that is said to take longer gains nothing by moving; so nothing moves that need not."""
    found = fill(MOVABLE, [device("a", 7, kept=8.0)], may_move=True)

    assert found == Filled(seconds=24.0, ranges=(Range(name="a", first=0, last=3, moved=(2,)),))


UP = Partial(moved=("up",), size=1, share=0.5)


@pytest.mark.parametrize(
    ("first", "budget", "cut"),
    [(0, 9, None), (0, 8, 2), (0, 7, None), (0, 6, 1), (0, 4, 0), (1, 5, 1), (1, 4, None), (1, 3, 2)],
)
def test_a_layer_is_cut_where_part_of_it_still_fits(first: int, budget: int, cut: int | None) -> None:
    """It is the moved layer next to those that are whole; half of its part stays, and half of what moving costs."""
    costs = replace(MOVABLE, partials=((UP,),) * 3)
    whole = fill(costs, [device("a", budget)], may_move=True, first=first, cuts=[[]])
    found = fill(costs, [device("a", budget)], may_move=True, first=first)

    assert whole is not None
    assert found is not None
    assert (found.ranges[0].cut, found.ranges[0].partial) == (cut, None if cut is None else UP)
    assert found.ranges[0].moved == whole.ranges[0].moved
    assert found.seconds == whole.seconds - (0.0 if cut is None else 0.75)
    assert whole.ranges[0].cut is None


def test_a_layer_is_not_cut_for_nothing() -> None:
    """Where moving costs no time, cutting saves none; the way that keeps most and fits is taken where it does."""
    free = fill(replace(MOVABLE, partials=((UP,),) * 3), [device("a", 8, cpu=0.5)], may_move=True)
    most = replace(UP, moved=("down",), size=2, share=0.9)
    found = fill(replace(MOVABLE, movable=(3, 3, 3), partials=((most, UP),) * 3), [device("a", 11)], may_move=True)
    less = fill(replace(MOVABLE, movable=(3, 3, 3), partials=((most, UP),) * 3), [device("a", 10)], may_move=True)

    assert free is not None
    assert (free.ranges[0].moved, free.ranges[0].cut) == ((2,), None)
    assert found is not None
    assert found.ranges[0].partial == most
    assert less is not None
    assert less.ranges[0].partial == UP


def test_the_device_that_streams_fastest_comes_first() -> None:
    """The first in use streams what is moved, so where something moves its link decides."""
    devices = [device("a", 4, cpu=4.0), device("b", 4, cpu=2.0)]
    found = fill(MOVABLE, devices, may_move=True)

    assert found is not None
    assert [item.name for item in found.ranges] == ["b", "a"]
    assert layers(fill(MOVABLE, devices, may_move=True, gain=inf)) != layers(found)


def test_every_order_of_five_devices_is_tried() -> None:
    """Of six different ones only their own and the one with the fastest link in front."""
    costs = replace(COSTS, base=(1, 2, 3, 4, 5, 6), movable=(0,) * 6, on_cpu=(0,) * 6)
    mixed = [3, 1, 2, 5, 4, 6]

    assert len(layers(fill(_first(costs, 5), _devices(mixed[:5]), may_move=False)) or ()) == 5
    assert fill(costs, _devices(mixed), may_move=False) is None
    assert len(layers(fill(costs, _devices(sorted(mixed)), may_move=False)) or ()) == 6
    assert len(layers(fill(costs, _devices(mixed, fast=(1, 2, 3, 4, 5)), may_move=False)) or ()) == 6


def _first(costs: LayerCosts, count: int) -> LayerCosts:
    return replace(costs, base=costs.base[:count], movable=costs.movable[:count], on_cpu=costs.on_cpu[:count])


def _devices(budgets: Sequence[int], fast: Sequence[int] = ()) -> list[Bin]:
    """One device per budget; those of ``fast`` stream faster, the first of them most."""
    links = {size: 0.1 + 0.1 * at for at, size in enumerate(fast)}
    n = len(budgets)
    n = len(budgets)
    return [
        Bin(
            name=f"{size}",
            budget=size,
            reserve=0,
            reserve_first=0,
            kept=(1.0,) * n,
            part=(0.0,) * n,
            cpu=(links.get(size, 1.0),) * n,
        )
        for size in budgets
    ]


def test_alike_devices_are_used_in_their_order() -> None:
    """And count as one kind, so that many of them are tried in every order with others."""
    costs = replace(COSTS, base=(1, 1, 1, 1, 1, 1, 2), movable=(0,) * 7, on_cpu=(0,) * 7)
    devices = [replace(item, name=f"{at}") for at, item in enumerate(_devices([2, 1, 1, 1, 1, 1, 1]))]

    assert [item[0] for item in layers(fill(costs, devices, may_move=False)) or ()] == [
        "1",
        "2",
        "3",
        "4",
        "5",
        "6",
        "0",
    ]

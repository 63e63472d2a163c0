"""The engines of a stack against brute force: the joint choice, the least missing, what co-fits, busy neighbours."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from hypothesis import given
from hypothesis import strategies as st

from omniplan.domain.machine import Gpu, Machine
from omniplan.stack.asked import Budget
from omniplan.stack.cofit import fits, largest_sets, prompt_caches
from omniplan.stack.joint import Choice, JointProblem, Together, least_missing, score, settle, solve
from omniplan.stack.neighbours import added, busy_seconds
from omniplan.stack.pools import Pools
from omniplan.units import MIB
from tests.property.strategies import examples

GPUS = tuple(Gpu(name=f"CUDA{index}", total=0, free=0) for index in range(2))
POOLS = Pools(machine=Machine(name="two", gpus=GPUS), budget=Budget())
NEEDS = st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4))


@st.composite
def problems(draw: st.DrawFn) -> JointProblem:
    """Up to four members with up to four options, up to three groups of them, and costs between members."""
    n = draw(st.integers(1, 4))
    options = [
        [Choice(cost=draw(st.integers(0, 9)), need=draw(NEEDS), work=(i, a)) for a in range(draw(st.integers(1, 4)))]
        for i in range(n)
    ]
    capacity = st.tuples(*[st.integers(0, 9)] * 3)
    members = st.frozensets(st.integers(0, n - 1), min_size=1)
    groups = draw(st.lists(st.builds(Together, members=members, capacity=capacity), max_size=3))
    table = draw(st.lists(st.integers(0, 5), min_size=16, max_size=16))
    return JointProblem(
        options=options,
        groups=groups,
        pair=lambda i, a, j, b: table[(3 * i + 5 * a + 3 * j + 5 * b) % 16],
        apart=lambda i, a, j, b: table[(i + a + j + b) % 16] > 3,
    )


@st.composite
def twins(draw: st.DrawFn) -> JointProblem:
    """Members of one or two kinds, those of a kind with the same options, in groups of all or some."""
    choices = st.builds(Choice, cost=st.integers(0, 5), need=NEEDS, work=st.integers(0, 2))
    kinds = draw(st.lists(st.lists(choices, min_size=1, max_size=4), min_size=1, max_size=2))
    options = [kinds[draw(st.integers(0, len(kinds) - 1))] for _ in range(draw(st.integers(2, 4)))]
    busy = draw(st.integers(0, 3))

    def pair(i: int, a: int, j: int, b: int) -> int:
        return busy * (options[i][a].work == options[j][b].work)

    members = st.frozensets(st.integers(0, len(options) - 1), min_size=1)
    groups = st.builds(Together, members=members, capacity=st.tuples(*[st.integers(0, 9)] * 3))
    return JointProblem(
        options=options, groups=draw(st.lists(groups, max_size=2)), pair=pair, apart=lambda *where: pair(*where) > 0
    )


def best(problem: JointProblem) -> tuple[int, int, int]:
    """The least score of all combinations."""
    choices = itertools.product(*(range(len(options)) for options in problem.options))
    return min(score(problem, chosen)[0] for chosen in choices)


@examples(100)
@given(problem=problems() | twins())
def test_the_joint_choice_is_the_best(problem: JointProblem) -> None:
    """Fewest groups lost, then least cost, then fewest pairs apart: as brute force, and its own score is its score."""
    found = solve(problem)

    assert best(problem) == found.score
    assert (found.score, found.unkept) == score(problem, found.chosen)


@examples(40)
@given(problem=problems())
def test_the_start_does_not_matter(problem: JointProblem) -> None:
    """From a quick choice or from the first options; the quick one is no better."""
    quick = settle(problem)
    first = [0] * len(problem.options)

    assert solve(problem, first).score == solve(problem, quick.chosen).score <= quick.score


@examples(100)
@given(problem=problems(), capacity=st.tuples(*[st.integers(0, 12)] * 5))
def test_the_least_that_is_missing(problem: JointProblem, capacity: tuple[int, ...]) -> None:
    """As of all combinations, where needs have the sums that pools have."""
    needs = [[(*c.need, sum(c.need[:2]), sum(c.need)) for c in options] for options in problem.options]

    def short(used: Sequence[int]) -> int:
        return POOLS.missing(used, capacity)

    every = [short([sum(column) for column in zip(*chosen, strict=True)]) for chosen in itertools.product(*needs)]

    assert min(every) == least_missing(needs, short)


def subsets(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return itertools.chain.from_iterable(itertools.combinations(names, n) for n in range(1, len(names) + 1))


@examples(100)
@given(needs=st.lists(NEEDS, min_size=1, max_size=5), capacity=st.tuples(*[st.integers(0, 9)] * 3))
def test_the_largest_sets_are_those_that_fit(needs: list[tuple[int, ...]], capacity: tuple[int, ...]) -> None:
    """Their parts are exactly the sets within capacity, and none is part of another."""
    named = {str(i): need for i, need in enumerate(needs)}
    found = largest_sets(named, capacity)
    parts = {frozenset(part) for names in found for part in subsets(names)}
    fitting = {frozenset(names) for names in subsets(list(named)) if fits(capacity, [named[name] for name in names])}

    assert fitting == parts
    assert not any(set(a) < set(b) for a in found for b in found)


@examples(100)
@given(data=st.data(), left=st.lists(st.integers(0, 40_000), min_size=1, max_size=3))
def test_prompt_caches_stay_within_what_is_left(data: st.DataObject, left: list[int]) -> None:
    """In every group; where there is plenty, everybody has llama-server's 8 GiB."""
    names = ["a", "b", "c"]
    groups = [data.draw(st.lists(st.sampled_from(names), unique=True)) for _ in left]
    parts = prompt_caches(groups, [size * MIB for size in left], names)

    for members, size in zip(groups, left, strict=True):
        assert sum(parts[name] for name in members) <= max(size * MIB, 0)
    assert all(parts[name] == 8192 * MIB for name in names if not any(name in members for members in groups))


WORK = st.dictionaries(st.sampled_from(["CUDA0", "CUDA1", "RAM", ""]), st.floats(0.001, 10), min_size=1)


@examples(100)
@given(works=st.lists(WORK, min_size=1, max_size=4))
def test_busy_neighbours_slow_and_no_more_than_by_turns(works: list[dict[str, float]]) -> None:
    """Alone nothing changes; n that share everything take n times as long; none is faster, none slower than that."""
    times = busy_seconds(works)

    for work, seconds in zip(works, times, strict=True):
        own = sum(work.values())
        assert own * (1 - 1e-9) <= seconds <= len(works) * own * (1 + 1e-9)
    same = busy_seconds([works[0]] * 3)
    shared = sum(seconds for pool, seconds in works[0].items() if pool)
    if shared == sum(works[0].values()) and len(works[0]) == 1:
        assert abs(same[0] - 3 * shared) < 1e-6 * shared


def test_no_shared_pool_no_delay() -> None:
    """A model on one GPU does not feel one on another, nor one in RAM; it feels one on its own for its time there."""
    assert added({"CUDA0": 1.0}, {"CUDA1": 2.0, "RAM": 1.0}) == 0
    assert added({"CUDA0": 2.0}, {"CUDA0": 1.0, "RAM": 3.0}) == 0.5
    assert busy_seconds([{"RAM": 1.0}, {"CUDA0": 1.0}]) == (1.0, 1.0)

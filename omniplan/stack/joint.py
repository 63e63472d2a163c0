"""The best joint choice, exactly: one option per member, groups that share pools, costs per member and per pair.

Knows nothing of models or machines: whole numbers, so that sums are exact and ties are ties.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations
from operator import add, gt, sub
from typing import Final

Need = tuple[int, ...]
PairCost = Callable[[int, int, int, int], int]

_NOTHING: Final = 1 << 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One option of a member: its cost, what it needs per dimension, and what costs of pairs follow from."""

    cost: int
    need: Need
    work: Hashable = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """Members (by index) that share ``capacity``."""

    members: frozenset[int]
    capacity: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JointProblem:
    """Members with their options, groups of them, and what pairs cost each other.

    ``pair(i, a, j, b)`` is the non-negative cost of member ``i`` with option ``a`` beside ``j`` with ``b`` in a group,
    and ``apart(i, a, j, b)`` whether two that share no group could not be there together; both the same with the two
    members swapped, and for members whose options are equal.
    """

    options: Sequence[Sequence[Choice]]
    groups: Sequence[Together]
    pair: PairCost
    apart: Callable[[int, int, int, int], bool] = lambda *_: False


# Groups not kept, cost, pairs apart: less is better, in this order.
Score = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """The best choice: an option per member, its score, the groups that are not kept, and nodes visited."""

    chosen: tuple[int, ...]
    score: Score
    unkept: frozenset[int]
    visited: int


def score(problem: JointProblem, chosen: Sequence[int]) -> tuple[Score, frozenset[int]]:
    """The score of one choice by definition, and the groups it does not keep."""
    unkept = set()
    for index, group in enumerate(problem.groups):
        needs = [problem.options[i][chosen[i]].need for i in group.members]
        if any(sum(column) > most for column, most in zip(zip(*needs, strict=True), group.capacity, strict=True)):
            unkept.add(index)
    cost = sum(options[a].cost for options, a in zip(problem.options, chosen, strict=True))
    apart = 0
    for i, j in combinations(range(len(chosen)), 2):
        if _share(problem, i, j):
            cost += problem.pair(i, chosen[i], j, chosen[j])
        else:
            apart += problem.apart(i, chosen[i], j, chosen[j])
    return (len(unkept), cost, apart), frozenset(unkept)


def _share(problem: JointProblem, i: int, j: int) -> bool:
    return any(i in group.members and j in group.members for group in problem.groups)


def settle(problem: JointProblem, start: Sequence[int] | None = None) -> Joint:
    """A good choice, not proven: from ``start``, or where all need least, one member after the other does better."""
    chosen = list(start or (_least(options) for options in problem.options))
    least, tried = score(problem, chosen)[0], 0
    is_better = True
    while is_better:
        is_better = False
        for i, options in enumerate(problem.options):
            for a in range(len(options)):
                other = [*chosen[:i], a, *chosen[i + 1 :]]
                tried += 1
                if (reached := score(problem, other)[0]) < least:
                    least, chosen, is_better = reached, other, True
    return Joint(chosen=tuple(chosen), score=least, unkept=score(problem, chosen)[1], visited=tried)


def _least(options: Sequence[Choice]) -> int:
    return min(range(len(options)), key=lambda a: (sum(options[a].need), options[a].cost))


def solve(problem: JointProblem, start: Sequence[int] | None = None) -> Joint:
    """The choice with the least score; every member has at least one option. ``start`` is a choice to begin with.

    Depth first over members, largest first, options of a member cheapest first. A branch is left when a bound on all
    its leaves is no better than the best leaf so far. The bound is admissible: needs only grow, so a group that the
    chosen members exceed, each other one taking its least in every dimension, is kept by no leaf; each member still to
    come costs at least the least of its options plus what that option and the chosen members cost each other, of those
    that fit beside them where no more groups may be lost; pairs among those to come, as costs are not negative, cost at
    least nothing; pairs apart only add up. Of twins, members with equal options in the same groups, the second takes no
    option before the first one's: swapping the two changes no score.
    """
    if not problem.options:
        return Joint(chosen=(), score=(0, 0, 0), unkept=frozenset(), visited=0)
    search = _Search(problem, start or settle(problem).chosen)
    search.start()
    best = tuple(search.best)
    return Joint(chosen=best, score=search.least, unkept=score(problem, best)[1], visited=search.visited)


class _Search:
    """The state of one depth-first search."""

    def __init__(self, problem: JointProblem, start: Sequence[int]) -> None:
        options, groups = problem.options, problem.groups
        members = range(len(options))
        self.problem = problem
        self.order = sorted(members, key=lambda i: -min(sum(choice.need) for choice in options[i]))
        self.shared = [[i != j and _share(problem, i, j) for j in members] for i in members]
        self.groups = [[g for g, group in enumerate(groups) if i in group.members] for i in members]
        # Bytes in use by group, and the most that leave the members from a depth on what they need at least.
        self.used: list[Need] = [(0,) * len(group.capacity) for group in groups]
        self.most_used = [[tuple(map(sub, group.capacity, least)) for least in self._least(group)] for group in groups]
        # Cost of every option beside the members chosen so far.
        self.costs = [[choice.cost for choice in member] for member in options]
        self.rows: dict[tuple[int, int, int], list[int]] = {}
        self.twins = self._twins()
        self.chosen = [0] * len(options)
        self.best = list(start)
        self.least: Score = score(problem, self.best)[0]
        self.visited = 0

    def _least(self, group: Together) -> list[Need]:
        sums: list[Need] = [(0,) * len(group.capacity)]
        for i in reversed(self.order):
            least = sums[-1]
            if i in group.members:
                needs = [choice.need for choice in self.problem.options[i]]
                least = tuple(have + min(column) for have, column in zip(least, zip(*needs, strict=True), strict=True))
            sums.append(least)
        return sums[::-1]

    def start(self) -> None:
        """Search everything."""
        lost = self._lost(0)
        self.descend(0, (len(lost), 0, 0), lost, sum(self._rest(0, lost)[1:]))

    def descend(self, depth: int, so_far: Score, lost: frozenset[int], rest: int) -> None:
        """Try every option of the member at ``depth``; ``so_far`` is the score of those before it.

        ``lost`` are groups that no leaf keeps, ``rest`` is what the members after this one cost at least.
        """
        self.visited += 1
        if depth == len(self.order):
            if so_far < self.least:
                self.least, self.best = so_far, list(self.chosen)
            return
        i = self.order[depth]
        costs = self.costs[i]
        # Where no more groups may be lost, what each of the member's leaves for it.
        rooms = [
            tuple(map(sub, self.most_used[g][depth + 1], self.used[g]))
            for g in self.groups[i]
            if g not in lost and len(lost) == self.least[0]
        ]
        first = self.chosen[self.twins[i]] if i in self.twins else 0
        for a in sorted(range(first, len(costs)), key=costs.__getitem__):
            if (so_far[0], so_far[1] + costs[a] + rest, so_far[2]) >= self.least:
                # Further options cost more.
                return
            if _fits(self.problem.options[i][a].need, rooms):
                self._choose(depth, i, a, so_far)

    def _twins(self) -> dict[int, int]:
        """The twin that comes last before a member in the order, for each that has one."""
        seen: dict[Hashable, int] = {}
        twins = {}
        for i in self.order:
            kind = (tuple(self.problem.options[i]), tuple(self.groups[i]))
            if kind in seen:
                twins[i] = seen[kind]
            seen[kind] = i
        return twins

    def _choose(self, depth: int, i: int, a: int, so_far: Score) -> None:
        """Descend with option ``a`` of member ``i``, unless no leaf below can be better."""
        choice, cost = self.problem.options[i][a], so_far[1] + self.costs[i][a]
        used = list(self.used)
        for group in self.groups[i]:
            self.used[group] = tuple(map(add, self.used[group], choice.need))
        lost = self._lost(depth + 1)
        if len(lost) <= self.least[0]:
            apart = so_far[2] + sum(
                self.problem.apart(i, a, j, self.chosen[j]) for j in self.order[:depth] if not self.shared[i][j]
            )
            known = self._beside(depth, i, a)
            at_least = cost + sum(min(self.costs[j]) for j in self.order[depth + 1 :])
            if (len(lost), at_least, apart) < self.least:
                rest = self._rest(depth + 1, lost)
                if (len(lost), cost + sum(rest), apart) < self.least:
                    self.chosen[i] = a
                    self.descend(depth + 1, (len(lost), cost, apart), lost, sum(rest[1:]))
            for j, costs in known:
                self.costs[j] = costs
        self.used = used

    def _rest(self, depth: int, lost: frozenset[int]) -> list[int]:
        """What each member from ``depth`` on costs at least: where no more groups may be lost, in places that fit."""
        if len(lost) < self.least[0]:
            return [min(self.costs[j]) for j in self.order[depth:]]
        rooms = [
            tuple(map(sub, group.capacity, used)) for group, used in zip(self.problem.groups, self.used, strict=True)
        ]
        return [self._fitting(j, [rooms[g] for g in self.groups[j] if g not in lost]) for j in self.order[depth:]]

    def _fitting(self, j: int, rooms: Sequence[Need]) -> int:
        """The least cost of an option of ``j`` that fits into ``rooms``, those its groups have left."""
        least = _NOTHING
        for cost, choice in zip(self.costs[j], self.problem.options[j], strict=True):
            if cost < least and _fits(choice.need, rooms):
                least = cost
        return least

    def _lost(self, depth: int) -> frozenset[int]:
        """Groups that no leaf below keeps."""
        return frozenset(
            g
            for g, (used, most) in enumerate(zip(self.used, self.most_used, strict=True))
            if any(map(gt, used, most[depth]))
        )

    def _beside(self, depth: int, i: int, a: int) -> list[tuple[int, list[int]]]:
        """Add what option ``a`` and the members to come cost each other; returns their costs before."""
        known = []
        for j in self.order[depth + 1 :]:
            if self.shared[i][j]:
                known.append((j, self.costs[j]))
                self.costs[j] = list(map(add, self.costs[j], self._row(i, a, j)))
        return known

    def _row(self, i: int, a: int, j: int) -> list[int]:
        """What option ``a`` of member ``i`` and every option of ``j`` cost each other."""
        key = (i, a, j)
        if key not in self.rows:
            self.rows[key] = [self.problem.pair(i, a, j, b) for b in range(len(self.problem.options[j]))]
        return self.rows[key]


def _fits(need: Need, rooms: Sequence[Need]) -> bool:
    for room in rooms:  # noqa: SIM110 - asked some hundred thousand times
        if any(map(gt, need, room)):
            return False
    return True


def least_missing(needs: Sequence[Sequence[tuple[int, ...]]], missing: Callable[[Sequence[int]], int]) -> int:
    """The least ``missing(sum of needs)`` of any choice of one need per member.

    ``missing`` must not shrink when a need grows; so members to come count with their least need in every dimension.
    """
    width = len(needs[0][0]) if needs else 0
    order = sorted(needs, key=lambda options: -min(map(sum, options)))
    least = [(0,) * width]
    for options in reversed(order):
        sums = zip(least[-1], zip(*options, strict=True), strict=True)
        least.append(tuple(have + min(column) for have, column in sums))
    least.reverse()

    def bound(used: tuple[int, ...], depth: int) -> int:
        return missing([have + more for have, more in zip(used, least[depth], strict=True)])

    best = _NOTHING
    stack: list[tuple[int, tuple[int, ...]]] = [(0, (0,) * width)]
    while stack and best > 0:
        depth, used = stack.pop()
        if bound(used, depth) >= best:
            continue
        if depth == len(order):
            best = bound(used, depth)
            continue
        after = [tuple(have + more for have, more in zip(used, need, strict=True)) for need in order[depth]]
        stack += sorted(((depth + 1, sums) for sums in after), key=lambda item: -bound(item[1], depth + 1))
    return best

"""The joint search of a stack: options per model, the best choice, and each planned again in what others leave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from itertools import permutations
from typing import Final

from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.progress import Progress, unwatched
from omniplan.planning.solution import TIE
from omniplan.planning.workers import in_order
from omniplan.stack import cofit
from omniplan.stack.asked import Group, On, StackFile, StackModel
from omniplan.stack.joint import JointProblem, Together, least_missing, solve
from omniplan.stack.neighbours import added
from omniplan.stack.options import NANO, Offers, StackOption, anonymous, on_cpu
from omniplan.stack.pools import Need, Pools, total

# Rounds of choosing jointly and planning again in what others leave; each must be better than the one before.
_ROUNDS: Final = 4
# In stacks of so few models large ones are also planned in what each single place of another leaves.
_FEW: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The joint choice: an option per member that has any, groups that fit, and the objective in nanoseconds."""

    options: Mapping[str, StackOption]
    groups: tuple[Group, ...]
    cost: int
    rivals: Mapping[str, int]


class Search:
    """One stack being searched: members with their options, groups with their capacities."""

    def __init__(
        self, asked: StackFile, models: Mapping[str, Model], machine: Machine, progress: Progress = unwatched
    ) -> None:
        self.asked = asked
        self.models = models
        self.machine = machine
        self.progress = progress
        self.pools = Pools(machine=machine, budget=asked.budget)
        self.offers = Offers(self.pools, asked)
        self.requests: Mapping[str, StackModel] = {model.name: model for model in asked.models}
        self.fixed: Mapping[str, Need] = {entry.name: self.pools.external(entry) for entry in asked.externals}

    @cached_property
    def options(self) -> dict[str, list[StackOption]]:
        """Options of every model by name, in what is always there for it; the same list for the same request."""
        keys = {name: (id(self.models[name]), anonymous(asked)) for name, asked in self.requests.items()}
        first: dict[tuple[int, StackModel], str] = {}
        for name, key in keys.items():
            first.setdefault(key, name)
        jobs = [(name, self.models[name], self.requests[name]) for name in first.values()]
        plan = partial(_options, self.offers, self.capacity(self.always))
        lists = in_order(plan, jobs, self.progress, lambda job: f"planning {job[0]}")
        known = dict(zip(first, lists, strict=True))
        self.progress(len(jobs), len(jobs), "placing them together")
        return {name: known[key] for name, key in keys.items()}

    def capacity(self, group: Iterable[str]) -> Need:
        """What the entries of a group that only take bytes leave of the pools."""
        return self.pools.left(self.fixed[name] for name in group if name in self.fixed)

    @cached_property
    def always(self) -> tuple[str, ...]:
        """External entries that are in every group."""
        groups = [set(group.members) for group in self.asked.groups]
        return tuple(name for name in self.fixed if all(name in members for members in groups))

    def room_beside(self, names: Sequence[str], others: Iterable[tuple[Group, Mapping[str, Need]]]) -> Need:
        """What is left for ``names`` in the tightest of the groups ``others``, beside the needs of their members."""
        room = self.capacity(self.always)
        for group, needs in others:
            rest = [needs[name] for name in group.members if name in needs and name not in names]
            left = self.capacity(group.members)
            used = total(rest, len(left))
            room = tuple(min(have, most - less) for have, most, less in zip(room, left, used, strict=True))
        return _shrunk(room)

    def problem(self, options: Mapping[str, Sequence[StackOption]], groups: Sequence[Group]) -> JointProblem:
        """The choice among ``options`` in ``groups``, in whole nanoseconds."""
        names = list(options)
        listed = [options[name] for name in names]
        capacity = self.capacity(self.always)
        weights = [self.requests[name].priority for name in names]

        def pair(i: int, a: int, j: int, b: int) -> int:
            one, other = listed[i][a].work, listed[j][b].work
            return round(NANO * self.asked.busy * (weights[i] * added(one, other) + weights[j] * added(other, one)))

        def apart(i: int, a: int, j: int, b: int) -> bool:
            return not cofit.fits(capacity, (listed[i][a].need, listed[j][b].need))

        together = [
            Together(
                members=frozenset(names.index(name) for name in group.members if name in options),
                capacity=self.capacity(group.members),
            )
            for group in groups
        ]
        return JointProblem(
            options=[[option.choice for option in member] for member in listed],
            groups=[group for group in together if group.members],
            pair=cache(pair),
            apart=cache(apart),
        )

    def fits_alone(self, group: Group) -> bool:
        """Whether a group fits when no other has to."""
        capacity = self.capacity(group.members)
        if any(left < 0 for left in capacity):
            return False
        needs = [[option.need for option in self.options[name]] for name in group.members if name in self.requests]
        # Without models the entries that only take bytes are all there is, and capacity is what they leave.
        return not needs or (all(needs) and not least_missing(needs, lambda used: self.pools.missing(used, capacity)))

    def find(self) -> Found:
        """The best joint choice of the options, where no member can do better in what the others leave it.

        Each round adds to the options what every member could have in what the chosen others leave, and chooses again,
        exactly every time.
        """
        groups = [group for group in self.asked.groups if self.fits_alone(group)]
        lists = {id(found): list(found) for found in self.options.values() if found}
        options = {name: lists[id(found)] for name, found in self.options.items() if found}
        if len(options) <= _FEW:
            self._complement(options, groups)
        best = self._choose(options, groups, None)
        for _ in range(_ROUNDS):
            if not self._widen(options, best):
                break
            found = self._choose(options, groups, best)
            is_better = (len(found.groups), -found.cost) > (len(best.groups), -best.cost * (1 - TIE))
            best = found
            if not is_better:
                break
        return best

    def _choose(
        self,
        options: dict[str, list[StackOption]],
        groups: Sequence[Group],
        known: Found | None,
    ) -> Found:
        """A joint choice from ``known`` on, each option planned on the very GPUs it names."""
        start: tuple[int, ...] | None = None
        if known is not None:
            start = tuple(options[name].index(option) for name, option in known.options.items())
        while True:
            joint = solve(self.problem(options, groups), start)
            start = joint.chosen
            chosen = {name: found[a] for (name, found), a in zip(options.items(), joint.chosen, strict=True)}
            is_real = True
            for (name, option), a in zip(chosen.items(), joint.chosen, strict=True):
                real = self.offers.real(self.models[name], self.requests[name], option)
                options[name][a] = chosen[name] = real
                is_real &= (real.need, real.cost) == (option.need, option.cost)
            if is_real:
                break
        shared = [group for group in groups if set(group.members) & set(options)]
        unkept = {shared[index].name for index in joint.unkept}
        return Found(
            options=chosen,
            groups=tuple(group for group in groups if group.name not in unkept),
            cost=joint.score[1],
            rivals={name: len(found) for name, found in options.items()},
        )

    def _complement(self, options: dict[str, list[StackOption]], groups: Sequence[Group]) -> None:
        """Add what each member that does not fit on one GPU could have in what each place of each other leaves."""
        known = {name: list(found) for name, found in options.items()}
        large = {name for name, found in known.items() if len(found[0].gpus) > 1 or on_cpu(found[0].solved.solution)}
        for group in groups:
            inside = [name for name in group.members if name in known]
            for name, other in ((name, other) for name, other in permutations(inside, 2) if name in large):
                for option in known[other]:
                    self._offer(options, name, self.room_beside([name], [(group, {other: option.need})]))

    def _widen(self, options: dict[str, list[StackOption]], found: Found) -> bool:
        """Add what each member that could do better could have in what the others leave; whether there is any."""
        before = sum(map(len, options.values()))
        needs = {name: option.need for name, option in found.options.items()}
        for name, option in found.options.items():
            if option.cost > min(other.cost for other in options[name]):
                beside = [(group, needs) for group in found.groups if name in group.members]
                self._offer(options, name, self.room_beside([name], beside))
        return sum(map(len, options.values())) > before

    def _offer(self, options: dict[str, list[StackOption]], name: str, room: Need) -> None:
        """Add the best plan of a member in ``room`` to its options, if it is new."""
        request = self.requests[name]
        offer = None if request.on is On.CPU else self.offers.offer(self.models[name], request, room)
        if offer is not None and offer.need not in {option.need for option in options[name]}:
            options[name].append(offer)


def _options(offers: Offers, capacity: Need, job: tuple[str, Model, StackModel]) -> list[StackOption]:
    _, model, request = job
    return offers.options(model, request, capacity)


def _shrunk(room: Need) -> Need:
    """Room per pool when all of it cannot be had at once, because something that may lie on any GPU takes some."""
    gpus, rest = list(room[:-3]), room[-3:]
    short = sum(gpus) - rest[1]
    for index in reversed(range(len(gpus))):
        taken = min(max(0, gpus[index]), max(0, short))
        short -= taken
        gpus[index] -= taken
    return (*gpus, *rest)

"""A joint plan of a stack: options per model, the best choice of them, and each planned again in what others leave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.stack import Group, On, Stack, StackFile, StackModel
from omniplan.search.stack import cofit
from omniplan.search.stack.joint import Joint, Problem, Together, solve
from omniplan.search.stack.neighbours import added
from omniplan.search.stack.options import NANO, Offers, Option
from omniplan.search.stack.pools import Need, Pools, total

# Rounds of choosing jointly and planning again in what others leave; each must be better than the one before.
_ROUNDS: Final = 4


def make_stack(asked: StackFile, models: Mapping[str, Model], machine: Machine) -> Stack:
    """The best joint placement of ``asked`` on ``machine``, and ways out for groups that do not fit.

    ``models`` are the models by name. Raises InputError for a budget or pool the machine does not have, ArgumentError
    with the model's name for a request that llama-server would refuse.
    """
    from omniplan.search.stack.result import stack_of

    return stack_of(Search(asked, models, machine))


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The joint choice: an option per member that has any, groups that fit, and the objective in nanoseconds."""

    options: Mapping[str, Option]
    groups: tuple[Group, ...]
    cost: int
    rivals: Mapping[str, int]


class Search:
    """One stack being searched: members with their options, groups with their capacities."""

    def __init__(self, asked: StackFile, models: Mapping[str, Model], machine: Machine) -> None:
        self.asked = asked
        self.models = models
        self.machine = machine
        self.pools = Pools(machine=machine, budget=asked.budget)
        self.offers = Offers(self.pools, asked)
        self.requests: Mapping[str, StackModel] = {model.name: model for model in asked.models}
        self.fixed: Mapping[str, Need] = {entry.name: self.pools.external(entry) for entry in asked.externals}

    @cached_property
    def options(self) -> dict[str, list[Option]]:
        """Options of every model by name, in what is always there for it."""
        return {
            name: self.offers.options(self.models[name], request, self.capacity(self.always))
            for name, request in self.requests.items()
        }

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

    def solve(self, options: Mapping[str, Sequence[Option]], groups: Sequence[Group]) -> Joint:
        """The best joint choice among ``options`` in ``groups``."""
        names = list(options)
        listed = [options[name] for name in names]
        busy, capacity = self.asked.busy, self.capacity(self.always)
        weights = [self.requests[name].priority for name in names]

        known: dict[tuple[int, int, int, int], int] = {}

        def pair(i: int, a: int, j: int, b: int) -> int:
            key = (i, a, j, b) if i < j else (j, b, i, a)
            if key not in known:
                one, other = listed[i][a].work, listed[j][b].work
                seconds = weights[i] * added(one, other) + weights[j] * added(other, one)
                known[key] = round(NANO * busy * seconds)
            return known[key]

        def apart(i: int, a: int, j: int, b: int) -> bool:
            return not cofit.fits(capacity, (listed[i][a].need, listed[j][b].need))

        together = [
            Together(
                members=frozenset(names.index(name) for name in group.members if name in options),
                capacity=self.capacity(group.members),
            )
            for group in groups
        ]
        return solve(
            Problem(
                options=[[option.choice for option in member] for member in listed],
                groups=[group for group in together if group.members],
                pair=pair,
                apart=apart,
            )
        )

    def fits_alone(self, group: Group) -> bool:
        """Whether a group fits when no other has to."""
        capacity = self.capacity(group.members)
        if any(left < 0 for left in capacity):
            return False
        members = {name: self.options[name] for name in group.members if name in self.requests}
        if not all(members.values()):
            return False
        return not self.solve(members, [group]).score[0]

    def find(self) -> Found:
        """The best joint choice of the options, where no member can do better in what the others leave it.

        Each round adds to the options what every member could have in what the chosen others leave, and chooses again.
        """
        groups = [group for group in self.asked.groups if self.fits_alone(group)]
        options = {name: list(found) for name, found in self.options.items() if found}
        best: Found | None = None
        for _ in range(_ROUNDS):
            found = self._choose(options, groups)
            if best is not None and (len(found.groups), -found.cost) <= (len(best.groups), -best.cost):
                break
            best = found
            if not self._widen(options, found):
                break
        assert best is not None
        return best

    def _choose(self, options: dict[str, list[Option]], groups: Sequence[Group]) -> Found:
        """The best joint choice, each option planned on the very GPUs it names."""
        while True:
            joint = self.solve(options, groups)
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

    def _widen(self, options: dict[str, list[Option]], found: Found) -> bool:
        """Add what each member could have in what the others leave; whether anything is new."""
        is_new = False
        needs = {name: option.need for name, option in found.options.items()}
        for name, request in self.requests.items():
            if name not in found.options or request.on is On.CPU:
                continue
            beside = [(group, needs) for group in found.groups if name in group.members]
            offer = self.offers.offer(self.models[name], request, self.room_beside([name], beside))
            if offer is not None and offer.need not in {option.need for option in options[name]}:
                options[name].append(offer)
                is_new = True
        return is_new


def _shrunk(room: Need) -> Need:
    """Room per pool when all of it cannot be had at once, because something that may lie on any GPU takes some."""
    gpus, rest = list(room[:-3]), room[-3:]
    short = sum(gpus) - rest[1]
    for index in reversed(range(len(gpus))):
        taken = min(max(0, gpus[index]), max(0, short))
        short -= taken
        gpus[index] -= taken
    return (*gpus, *rest)

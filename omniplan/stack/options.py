"""Options of one model in a stack: plans on few or many GPUs with more or less of each, none worse than another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

from omniplan.domain.model import Model
from omniplan.domain.prediction import Cause
from omniplan.domain.request import Request
from omniplan.errors import ArgumentError, Infeasible
from omniplan.planning.planner import solve
from omniplan.planning.result import Solved
from omniplan.planning.solution import Solution
from omniplan.stack.asked import On, StackFile, StackModel
from omniplan.stack.joint import Choice
from omniplan.stack.neighbours import Work, work
from omniplan.stack.pools import Need, Pools
from omniplan.stack.values import Share

NANO: Final = 1e9
# Of what a model takes of its GPUs where it may have all: how much is offered to one that must share them. Half is
# where to begin; what the chosen others leave is offered in every later round.
_LEVELS: Final = (0.5,)
# Room for equal parts of a model: shares of its weights, and what is there for caches and buffers besides. A GPU takes
# whole layers, of which one more is 5 % of a part of 20 and 25 % of a part of 4.
_SPARE: Final = (1.05, 1.25)
_BESIDE: Final = 2 << 30
# More GPUs than this are not combined in every way: all of a kind, and all.
_MOST_COMBINED: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOption:
    """One place for a model: the room it was searched in, what was found, what it needs and how long it takes.

    ``gpus`` are the pools' indices that the solution's own GPUs stand for: an option on a GPU is one on each alike.
    """

    room: Need
    solved: Solved
    shares: tuple[Share, ...]
    need: Need
    cost: int
    work: Work
    gpus: tuple[int, ...]

    @property
    def choice(self) -> Choice:
        """What the joint search sees."""
        return Choice(cost=self.cost, need=self.need, work=tuple(sorted(self.work.items())))


class Offers:
    """Places of one stack's models in given room, each searched for once."""

    def __init__(self, pools: Pools, asked: StackFile) -> None:
        self.pools = pools
        self.asked = asked
        self._known: dict[tuple[object, ...], StackOption | None] = {}

    def __reduce__(self) -> tuple[type[Offers], tuple[Pools, StackFile]]:
        # What is known is known by the identity of models, which another process does not share.
        return Offers, (self.pools, self.asked)

    def offer(self, model: Model, request: StackModel, room: Sequence[int]) -> StackOption | None:
        """The best plan of ``model`` in ``room`` bytes per pool; None when there is none."""
        room = self.pools.usable(room)
        key = (id(model), anonymous(request), room)
        if key not in self._known:
            self._known[key] = self._plan(model, request, room)
        return self._known[key]

    def _plan(self, model: Model, request: StackModel, room: Need) -> StackOption | None:
        machine = self.pools.view(room)
        try:
            solved = solve(model, machine, self._request(request))
        except Infeasible:
            return None
        except ArgumentError as error:
            raise ArgumentError(f"{request.name}: {error.flag}", error.problem, remedy=error.remedy) from error
        if request.on is On.GPU and on_cpu(solved.solution):
            return None
        return self._option(request, room, solved)

    def _request(self, request: StackModel) -> Request:
        """What one model is asked for, with what the whole stack is."""
        return Request(
            n_ctx=request.n_ctx,
            n_parallel=request.n_parallel,
            cache_type_k=request.cache_type_k,
            cache_type_v=request.cache_type_v,
            n_ubatch=request.n_ubatch,
            mmproj=request.mmproj,
            draft=request.draft,
            mtp=request.mtp,
            headroom=self.pools.headroom,
            n_prompt=self.asked.n_prompt,
            n_gen=self.asked.n_gen,
            objective=self.asked.objective,
            build=self.asked.build,
            baselines=False,
        )

    def _option(self, request: StackModel, room: Need, solved: Solved) -> StackOption:
        solution = solved.solution
        shares = self.pools.shares(solution)
        used = tuple(self.pools.names.index(share.pool) for share in shares if share.pool != self.pools.names[-1])
        return StackOption(
            room=room,
            solved=solved,
            shares=shares,
            need=self.pools.need(shares),
            cost=round(NANO * request.priority * solution.seconds),
            work=work(solution, self.pools.machine, self.asked.objective),
            gpus=used,
        )

    def options(self, model: Model, request: StackModel, capacity: Need) -> list[StackOption]:
        """Places worth considering in ``capacity``, cheapest first; none needs more everywhere for more seconds."""
        found = list(self._everywhere(model, request, capacity))
        return pareto(found)

    def _everywhere(self, model: Model, request: StackModel, capacity: Need) -> Iterator[StackOption]:
        n_gpus = len(self.pools.machine.gpus)
        nowhere = (*(0 for _ in range(n_gpus)), capacity[n_gpus])
        if request.on is not On.GPU and (option := self.offer(model, request, nowhere)):
            yield option
        if request.on is On.CPU:
            return
        templates: dict[tuple[object, ...], list[StackOption]] = {}
        # GPUs that hold the whole model; one more may hold it in smaller parts, others add nothing.
        enough = n_gpus
        for chosen in self._subsets(capacity):
            if len(chosen) > enough + 1:
                return
            kinds = tuple(self._kind(index, capacity) for index in chosen)
            if kinds not in templates:
                templates[kinds] = list(self._on(model, request, capacity, chosen, may_spill=len(chosen) <= enough))
                if any(not on_cpu(option.solved.solution) for option in templates[kinds]):
                    enough = min(enough, len(chosen))
            yield from (self._moved(option, chosen) for option in templates[kinds])

    def _on(
        self, model: Model, request: StackModel, capacity: Need, chosen: tuple[int, ...], *, may_spill: bool
    ) -> Iterator[StackOption]:
        """Plans on ``chosen`` GPUs: with all of them, whole in as equal parts as they allow, and with less of them."""

        def within(limits: Sequence[int]) -> StackOption | None:
            gpus = range(len(self.pools.machine.gpus))
            rooms = [min(capacity[i], limits[i]) if i in chosen else 0 for i in gpus]
            found = self.offer(model, request, (*rooms, capacity[len(gpus)]))
            return found if found is not None and found.gpus == chosen else None

        if len(chosen) > 1:
            yield from self._even(model, within, chosen)
        whole = within(capacity) if may_spill else None
        if whole is None:
            return
        yield whole
        if request.on is not On.GPU and len(chosen) == 1:
            less = (within([int(level * size) for size in whole.need]) for level in _LEVELS)
            yield from (option for option in less if option is not None)

    def _even(
        self, model: Model, within: Callable[[Sequence[int]], StackOption | None], chosen: tuple[int, ...]
    ) -> Iterator[StackOption]:
        """The whole model in equal parts, with as little room to spare as will do."""
        for spare in _SPARE:
            part = int(model.header.tensor_bytes * spare / len(chosen)) + _BESIDE
            option = within([part] * len(self.pools.machine.gpus))
            if option is not None:
                yield option
                return

    def _subsets(self, capacity: Need) -> Iterator[tuple[int, ...]]:
        """Sets of GPUs by index, small ones first; of many GPUs those that leave out no faster one of their kind."""
        usable = [i for i in range(len(self.pools.machine.gpus)) if capacity[i] > 0]
        if len(usable) <= _MOST_COMBINED:
            for count in range(1, len(usable) + 1):
                yield from combinations(usable, count)
            return
        yield from ((i,) for i in usable)
        yield from combinations(usable, 2)
        yield from (tuple(usable[first : first + count]) for count in (4,) for first in range(0, len(usable) - 3, 4))
        yield tuple(usable)

    def _kind(self, index: int, capacity: Need) -> tuple[object, ...]:
        """What makes two GPUs alike: everything but their names and addresses."""
        gpu = self.pools.machine.gpus[index]
        return (replace(gpu, name="", uuid="", pci="", numa_node=None), capacity[index])

    def _moved(self, option: StackOption, chosen: tuple[int, ...]) -> StackOption:
        """The same on GPUs that are alike."""
        names = self.pools.names
        to = {names[old]: names[new] for old, new in zip(option.gpus, chosen, strict=True)}
        room = dict(zip(names, option.room, strict=True))
        back = {new: old for old, new in to.items()}
        shares = tuple(replace(share, pool=to.get(share.pool, share.pool)) for share in option.shares)
        return replace(
            option,
            room=(*(room[back[name]] if name in back else 0 for name in names[:-1]), room[names[-1]]),
            shares=shares,
            need=self.pools.need(shares),
            work={to.get(pool, pool): took for pool, took in option.work.items()},
            gpus=chosen,
        )

    def real(self, model: Model, request: StackModel, option: StackOption) -> StackOption:
        """The option planned on the very GPUs it names; itself where it was."""
        own = tuple(self.pools.names.index(share.pool) for share in self.pools.shares(option.solved.solution))
        if own[:-1] == option.gpus:
            return option
        return self.offer(model, request, option.room) or option


def anonymous(request: StackModel) -> StackModel:
    """The request without what no plan depends on."""
    return replace(request, name="", port=None, on_demand=False)


def on_cpu(solution: Solution) -> bool:
    """Whether a token reads weights in RAM; its embedding alone is looked up."""
    return solution.prediction.terms.get(Cause.CPU_WEIGHTS, 0.0) > 0


def pareto(options: Sequence[StackOption]) -> list[StackOption]:
    """Options that no other beats in every pool and in seconds, cheapest first; of equal ones the first."""
    kept: list[StackOption] = []
    for option in sorted(options, key=lambda option: (option.cost, option.need)):
        if not any(all(a <= b for a, b in zip(other.need, option.need, strict=True)) for other in kept):
            kept.append(option)
    return kept

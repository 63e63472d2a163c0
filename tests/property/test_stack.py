"""Stacks of small models on drawn machines: no worse than brute force, budgets kept to the byte, nothing lost."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

from hypothesis import given
from hypothesis import strategies as st

import omniplan
from omniplan.domain.evidence import Basis
from omniplan.domain.footprint import Footprint
from omniplan.domain.headroom import Headroom
from omniplan.domain.machine import Gpu, Machine, Memory, Reservation, ReservationKind
from omniplan.domain.processor import Cpu
from omniplan.stack.asked import Group, StackFile, StackModel
from omniplan.stack.joint import score
from omniplan.stack.planner import make_stack
from omniplan.stack.search import Search
from omniplan.stack.values import Stack
from omniplan.units import GIB, MIB
from tests import stacks
from tests.property.strategies import examples

FURTHER = 256 * MIB
N_CTX = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Sizes of models by name, groups of them, and a machine."""

    sizes: Mapping[str, tuple[int, int]]
    groups: tuple[Group, ...]
    machine: Machine
    priorities: tuple[float, ...]

    @property
    def models(self) -> dict[str, omniplan.Model]:
        return {name: stacks.small(*size) for name, size in self.sizes.items()}

    @property
    def asked(self) -> StackFile:
        return StackFile(
            name="drawn",
            models=tuple(
                StackModel(name=name, path=name, n_ctx=N_CTX, priority=priority)
                for name, priority in zip(self.sizes, self.priorities, strict=True)
            ),
            groups=self.groups,
            busy=0.0,
        )

    @property
    def found(self) -> Stack:
        return make_stack(self.asked, self.models, self.machine)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Two or three models of 0.5 to 3 GiB on one or two GPUs of 2 to 6 GiB, some with a context reserved already."""
    names = ["a", "b", "c"][: draw(st.integers(2, 3))]
    sizes = {name: (4, draw(st.sampled_from([4000, 12000, 24000]))) for name in names}
    gpus = tuple(draw(_gpu(index)) for index in range(draw(st.integers(1, 2))))
    members = st.lists(st.sampled_from(names), min_size=1, unique=True)
    rest = draw(st.lists(members, max_size=1))
    groups = (Group(name="all", members=tuple(names)), *(Group(name="some", members=tuple(part)) for part in rest))
    return Case(
        sizes=sizes,
        groups=groups,
        machine=Machine(
            name="drawn",
            gpus=gpus,
            memory=Memory(total=draw(st.integers(2, 16)) * GIB, bandwidth=50e9, bandwidth_basis=Basis.MEASURED),
            cpu=Cpu(n_cores=8, n_threads=16),
        ),
        priorities=tuple(draw(st.sampled_from([1.0, 3.0])) for _ in names),
    )


@st.composite
def _gpu(draw: st.DrawFn, index: int) -> Gpu:
    free = draw(st.integers(2048, 6144)) * MIB
    reserved = (
        (Reservation(size=465 * MIB, reason="context", kind=ReservationKind.CUDA_CONTEXT),)
        if draw(st.booleans())
        else ()
    )
    return Gpu(
        name=f"CUDA{index}",
        description="drawn",
        total=free + 600 * MIB,
        free=free,
        compute_capability="8.9",
        bandwidth=draw(st.sampled_from([448e9, 1008e9])),
        reserved=reserved,
    )


COUNT = 5


@cache
def _known(key: str) -> Stack:
    return _cases[key].found


_cases: dict[str, Case] = {}


def found(case: Case) -> Stack:
    """The stack of a case, searched for once."""
    key = repr(case)
    _cases[key] = case
    return _known(key)


def kept(machine: Machine, priced: Mapping[str, Footprint]) -> bool:
    """Whether models together keep the headroom policy, by its definition: once per GPU, a context for each process."""
    policy = Headroom()
    for gpu in machine.gpus:
        using = [each for each in priced.values() if gpu.name in each.buffers and each.buffers[gpu.name].total]
        used = [each.buffers[gpu.name].total for each in using]
        already = sum(item.size for item in gpu.reserved)
        contexts = max(0, sum(each.process[gpu.name].total for each in using) - already)
        growth = policy.growth_of(gpu) + FURTHER * max(0, len(used) - 1)
        if used and sum(used) + contexts + growth > gpu.free:
            return False
    assert machine.memory is not None
    host = sum(each.pools[-1].used + each.output_buffer for each in priced.values())
    return host + policy.ram <= machine.memory.available


@cache
def places(size: tuple[int, int], key: str) -> tuple[tuple[Footprint, float], ...]:
    """One model whole on each GPU and whole in RAM, priced and predicted on its own."""
    machine, model = _cases[key].machine, stacks.small(*size)
    ask = ("-c", str(N_CTX), "-np", "1", "-ub", "512", "--fit", "off")
    args: list[tuple[str, ...]] = [
        (*ask, "-ngl", "99", "-sm", "none", "-mg", str(index)) for index in range(len(machine.gpus))
    ]
    args.append((*ask, "-ngl", "0", "-dev", "none", "-t", "8", "-tb", "8"))
    return tuple(
        (omniplan.footprint(model, machine, line), omniplan.predict(model, machine, line).request_seconds.value)
        for line in args
    )


def brute(case: Case) -> Iterator[float]:
    """Priority-weighted seconds of every way to put each model whole on a GPU or in RAM that all groups allow."""
    key = repr(case)
    for chosen in itertools.product(*(places(size, key) for size in case.sizes.values())):
        priced = {name: footprint for name, (footprint, _) in zip(case.sizes, chosen, strict=True)}
        if all(kept(case.machine, {name: priced[name] for name in group.members}) for group in case.groups):
            yield sum(weight * seconds for weight, (_, seconds) in zip(case.priorities, chosen, strict=True))


@examples(COUNT)
@given(case=cases())
def test_no_worse_than_brute_force(case: Case) -> None:
    """What any assignment of whole models to GPUs and RAM reaches is reached, neighbours idle."""
    stack = found(case)
    best = min(brute(case), default=None)

    if best is not None:
        assert stack.fits
        assert stack.seconds <= best * (1 + 1e-6)


@examples(COUNT)
@given(case=cases())
def test_the_joint_choice_is_the_best_of_all_options(case: Case) -> None:
    """The objective is no more than that of any combination of the options the search began with."""
    search = Search(case.asked, case.models, case.machine)
    groups = [group for group in case.groups if search.fits_alone(group)]
    options = {name: options for name, options in search.options.items() if options}
    if not options or len(options) < len(case.sizes):
        return
    problem = search.problem(options, groups)
    every = itertools.product(*(range(len(member)) for member in problem.options))
    lost, cost, _ = min(score(problem, chosen)[0] for chosen in every)
    ours = found(case)

    fitting = sum(group.fits for group in ours.groups)
    assert (len(groups) - fitting, round(ours.seconds * 1e9)) <= (lost, cost)


@examples(COUNT)
@given(case=cases())
def test_every_budget_is_kept_as_priced_again(case: Case) -> None:
    """Groups that fit keep the policy by its definition, with the very arguments that are printed."""
    stack = found(case)
    priced = {
        member.name: omniplan.footprint(stacks.small(*case.sizes[member.name]), case.machine, member.plan.server_args)
        for member in stack.members
    }
    for member in stack.members:
        assert priced[member.name].buffers == member.plan.footprint.buffers
    for group in stack.groups:
        if group.fits:
            inside = {name: priced[name] for name in group.members}
            caches = sum(_cache(stack, name) for name in group.members)
            memory = case.machine.memory
            assert memory is not None
            less = replace(case.machine, memory=replace(memory, total=memory.total - caches))
            assert kept(less, inside)
            assert all(pool.left >= 0 for pool in group.pools)


def _cache(stack: Stack, name: str) -> int:
    args = stack.member(name).plan.server_args
    return int(args[args.index("-cram") + 1]) * MIB if "-cram" in args else 8192 * MIB


@examples(3)
@given(case=cases())
def test_more_memory_never_costs(case: Case) -> None:
    """With another GiB of RAM everywhere no group is lost."""
    stack = found(case)
    memory = case.machine.memory
    assert memory is not None
    more = replace(case, machine=replace(case.machine, memory=replace(memory, total=memory.total + GIB)))

    assert {group.name for group in stack.groups if group.fits} <= {g.name for g in found(more).groups if g.fits}


@examples(COUNT)
@given(case=cases())
def test_a_refusal_says_what_is_missing_and_what_helps(case: Case) -> None:
    """A group that does not fit misses bytes, and its ways out are ordered by what they lose."""
    for group in found(case).groups:
        if not group.fits:
            losses = [remedy.loss for remedy in group.remedies]
            assert group.shortfall > 0
            assert losses == sorted(losses)
            assert all(0 <= loss <= 1 for loss in losses)
            outs = [
                remedy.changes for remedy in group.remedies if all(text.endswith(" out") for text in remedy.changes)
            ]
            assert outs
            rest = set(group.members) - {text.removesuffix(" out") for text in outs[0]}
            assert not rest or keeping(case, rest).fits


def keeping(case: Case, names: set[str]) -> Stack:
    """The stack of fewer members, all of them together."""
    models = tuple(model for model in case.asked.models if model.name in names)
    asked = replace(case.asked, models=models, groups=(Group(name="rest", members=tuple(sorted(names))),))
    return make_stack(asked, case.models, case.machine)

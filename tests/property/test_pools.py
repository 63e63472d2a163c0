"""What is priced on one physical memory, by whatever devices, is never more than the memory when it is said to fit."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from hypothesis import assume, given
from hypothesis import strategies as st

import omniplan
from omniplan.domain.machine import Machine
from omniplan.llamacpp.ggml.buffers import is_host
from omniplan.stack.asked import Group, StackFile, StackModel
from omniplan.stack.planner import make_stack
from omniplan.stack.values import Stack
from omniplan.units import MIB
from tests import stacks
from tests.oracle import cases
from tests.property.strategies import examples, names, placements, shared_machines

LAYOUTS = shared_machines().flatmap(lambda machine: st.tuples(st.just(machine), placements(machine)))
CACHE = 8192


def taken(machine: Machine, priced: Iterable[omniplan.Footprint]) -> dict[str, int]:
    """Bytes of every physical memory, and of every share of RAM, counted from the buffers alone."""
    shared = {gpu.name for gpu in machine.gpus if gpu.draws_on_ram}
    found = {"RAM": 0, **{gpu.name: 0 for gpu in machine.gpus}}
    for each in priced:
        for name, size in each.buffers.items():
            if is_host(name) or name in shared:
                found["RAM"] += size.total
            if not is_host(name):
                found[name] += size.total
    return found


def there(machine: Machine) -> dict[str, int]:
    """Bytes of every memory and share of it, by the machine's description alone."""
    assert machine.memory is not None
    found = {"RAM": machine.memory.available}
    for gpu in machine.gpus:
        limits = [gpu.free, gpu.working_set, gpu.gtt if gpu.draws_on_ram or not gpu.is_unified else gpu.carve_out]
        found[gpu.name] = min(size for size in limits if size is not None)
    return found


@examples(40)
@given(name=names(), layout=LAYOUTS)
def test_what_fits_is_there(name: str, layout: tuple[Machine, tuple[str, ...]]) -> None:
    """Any placement: it fits if and only if no memory and no share holds more than it has."""
    machine, args = layout
    priced = omniplan.footprint(cases.model(name), machine, ["-c", "4096", "-np", "1", *args])
    has = there(machine)

    assert priced.fits is all(size <= has[pool] for pool, size in taken(machine, [priced]).items())


@cache
def plan(name: str, machine: Machine) -> omniplan.Plan | None:
    try:
        return omniplan.plan(cases.model(name), machine, n_ctx=8192, baselines=False)
    except omniplan.Infeasible:
        return None


@examples(15)
@given(name=names(), machine=shared_machines(least_gib=8))
def test_a_plan_keeps_its_headroom_in_ram_once(name: str, machine: Machine) -> None:
    """Beside all buffers RAM keeps 2 GiB, the prompt cache, and 500 and 256 MiB for each GPU that draws on it."""
    found = plan(name, machine)
    assume(found is not None)
    assert found is not None
    priced = omniplan.footprint(cases.model(name), machine, found.server_args)
    used, args = taken(machine, [priced]), found.server_args
    cache_mib = int(args[args.index("-cram") + 1]) if "-cram" in args else CACHE
    drawing = [gpu for gpu in machine.gpus if gpu.draws_on_ram and used[gpu.name]]

    kept = (2048 + cache_mib + (500 + 256) * len(drawing)) * MIB
    assert machine.memory is not None
    assert used["RAM"] + priced.output_buffer + kept <= machine.memory.available


@examples(15)
@given(name=names(), machine=shared_machines(least_gib=8))
def test_a_refusal_is_no_excuse(name: str, machine: Machine) -> None:
    """What fits whole into RAM with the CPU alone is planned, GPUs that draw on it or not."""
    assert machine.memory is not None
    alone = Machine(name="alone", memory=machine.memory)
    assume(plan(name, alone) is not None)

    assert plan(name, machine) is not None


def stack(machine: Machine, sizes: tuple[int, ...]) -> Stack:
    """Small models, all at once."""
    members = tuple(f"m{index}" for index in range(len(sizes)))
    asked = StackFile(
        name="shared",
        models=tuple(StackModel(name=name, path=name, n_ctx=2048) for name in members),
        groups=(Group(name="all", members=members),),
    )
    models = {name: stacks.small(4, n_ff) for name, n_ff in zip(members, sizes, strict=True)}
    return make_stack(asked, models, machine)


@examples(8)
@given(
    machine=shared_machines(),
    sizes=st.lists(st.sampled_from([4000, 12000, 24000]), min_size=2, max_size=3).map(tuple),
)
def test_a_stack_that_fits_is_there(machine: Machine, sizes: tuple[int, ...]) -> None:
    """All members together, priced again from their arguments: no memory and no share of it is taken twice."""
    found = stack(machine, sizes)
    assume(found.fits)
    priced = [
        omniplan.footprint(stacks.small(4, n_ff), machine, member.plan.server_args)
        for n_ff, member in zip(sizes, found.members, strict=True)
    ]
    has = there(machine)

    for pool, size in taken(machine, priced).items():
        assert size <= has[pool]
    for use in found.groups[0].pools:
        assert use.used <= use.capacity

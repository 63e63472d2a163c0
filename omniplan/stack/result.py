"""A finished search as a stack: each member's plan beside the others, groups pool by pool, speeds, and ways out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from omniplan.domain.evidence import Assumption, Reason, ReasonVerdict
from omniplan.domain.footprint import RAM, Footprint
from omniplan.domain.headroom import PROMPT_CACHE
from omniplan.domain.machine import Machine
from omniplan.domain.params import ServerParams
from omniplan.domain.plan import Plan
from omniplan.machines.probe.order import VISIBLE
from omniplan.planning.advice import environment_of, host_reasons, learned_reasons
from omniplan.planning.candidates import args_of
from omniplan.planning.result import plan_of, search_reasons
from omniplan.predict.request import predict_priced
from omniplan.stack import cofit
from omniplan.stack.asked import ANY_GPU, Group
from omniplan.stack.neighbours import busy_seconds, decode_work
from omniplan.stack.options import NANO
from omniplan.stack.places import cpu_reasons, place_reasons
from omniplan.stack.pools import UNKNOWN, Need, total
from omniplan.stack.remedies import refused
from omniplan.stack.search import Found, Search
from omniplan.stack.values import GroupResult, Member, MemberSpeed, PoolUse, Stack
from omniplan.units import MIB, gib
from omniplan.version import __version__

_FIRST_PORT: Final = 8080


def stack_of(search: Search) -> Stack:
    """The stack a search ends with."""
    found = search.find()
    caches = _caches(search, found)
    threads = _threads(search, found)
    members = tuple(
        _member(search, found, name, caches[name], threads.get(name, 0), port)
        for name, port in _ports(search, found).items()
    )
    needs = {member.name: search.pools.need(member.shares) for member in members}
    kept = {group.name for group in found.groups}
    groups = tuple(
        _kept(search, group, members, needs) if group.name in kept else refused(search, group)
        for group in search.asked.groups
    )
    return Stack(
        version=__version__,
        llama_cpp=f"b{search.asked.build}",
        name=search.asked.name,
        machine=search.machine,
        asked=search.asked,
        members=members,
        groups=groups,
        sets=cofit.largest_sets(needs, search.capacity(search.always)),
        seconds=found.cost / NANO,
        reasons=tuple(_reasons(search, found, threads)),
        assumptions=tuple(_assumptions(search)),
    )


def _caches(search: Search, found: Found) -> Mapping[str, int]:
    """Prompt caches of all members: what the groups leave of RAM, and what each could have alone."""
    alone = [Group(name=name, members=(name, *search.always)) for name in found.options]
    groups = [*found.groups, *alone]
    ram = len(search.pools.names) - 1
    left = [
        search.capacity(group.members)[ram]
        - sum(found.options[name].need[ram] for name in group.members if name in found.options)
        for group in groups
    ]
    return cofit.prompt_caches([group.members for group in groups], left, list(found.options))


def _threads(search: Search, found: Found) -> Mapping[str, int]:
    """Most threads of each member that computes on the CPU beside others that do: its part of the physical cores."""
    counts = {name: option.solved.solution.params.n_threads for name, option in found.options.items()}
    cpu = search.machine.cpu
    most: dict[str, int] = {}
    for group in found.groups:
        computing = [name for name in group.members if counts.get(name, 0) > 0]
        if cpu is None or sum(counts[name] for name in computing) <= cpu.n_cores:
            continue
        for name in computing:
            part = max(1, cpu.n_cores // len(computing))
            most[name] = min(part, most.get(name, part))
    return most


def _ports(search: Search, found: Found) -> Mapping[str, int]:
    """A port per member: the one asked for, or the next free one from 8080 on."""
    asked = {name: search.requests[name].port for name in found.options}
    taken = {port for port in asked.values() if port}
    free = (port for port in range(_FIRST_PORT, 65536) if port not in taken)
    return {name: port or next(free) for name, port in asked.items()}


def _member(search: Search, found: Found, name: str, cache: int, threads: int, port: int) -> Member:
    request, option = search.requests[name], found.options[name]
    plan = _beside(search, found, name, cache, threads)
    shares = tuple(
        replace(share, reserve=share.reserve + cache) if share.pool == RAM else share for share in option.shares
    )
    return Member(
        name=name,
        plan=plan,
        shares=shares,
        priority=request.priority,
        on_demand=request.on_demand,
        port=port,
        rivals=found.rivals[name],
    )


def _beside(search: Search, found: Found, name: str, cache: int, threads: int) -> Plan:
    """The member's plan with its part of the prompt caches and cores, priced for the whole machine."""
    solved, machine = found.options[name].solved, search.machine
    solution, request, model = solved.solution, solved.problem.request, solved.problem.model
    params, priced = _with_threads(_with_cache(solution.params, cache), threads), solution.footprint
    prediction = solution.prediction
    if threads:
        prediction = predict_priced(model, machine, params, priced, request.n_prompt, request.n_gen, 0)
    needs = {other: option.need for other, option in found.options.items()}
    beside = [(group, needs) for group in found.groups if name in group.members]
    view = search.pools.view(search.room_beside([name], beside))
    return replace(
        plan_of(solved),
        machine=machine,
        server_args=args_of(params),
        environment={**_pinned(machine, found.options[name].gpus), **dict(params.env)},
        prediction=prediction,
        footprint=_seen_by(machine, priced),
        margins=search.pools.headroom.margins(view, priced, cache),
        reasons=(
            *search_reasons(solved),
            *host_reasons(machine, priced),
            *learned_reasons(machine, priced),
            *place_reasons(found, name, cache=cache, threads=threads),
        ),
    )


def _pinned(machine: Machine, gpus: Sequence[int]) -> Mapping[str, str]:
    """The environment that numbers the GPUs as the machine lists them, or shows none to a process that uses none."""
    if gpus:
        return environment_of(machine)
    return {VISIBLE: ""} if machine.gpus else {}


def _seen_by(machine: Machine, priced: Footprint) -> Footprint:
    """The same price, with what is free on ``machine``."""
    free = {**{gpu.name: gpu.room for gpu in machine.gpus}, RAM: machine.ram}
    return replace(priced, pools=tuple(replace(pool, free=free[pool.name]) for pool in priced.pools))


def _with_cache(params: ServerParams, cache: int) -> ServerParams:
    return replace(params, cache_ram=min(cache, PROMPT_CACHE) // MIB)


def _with_threads(params: ServerParams, most: int) -> ServerParams:
    """No more than ``most`` threads; 0 leaves them as they are, and so is a count that was not settled."""
    if not most:
        return params
    return replace(params, n_threads=min(most, params.n_threads), n_threads_batch=min(most, params.n_threads_batch))


def _kept(search: Search, group: Group, members: Sequence[Member], needs: Mapping[str, Need]) -> GroupResult:
    inside = [member for member in members if member.name in group.members]
    works = [decode_work(member.plan, search.machine) for member in inside]
    busy = busy_seconds(works)
    return GroupResult(
        name=group.name,
        members=group.members,
        fits=True,
        pools=uses(search, group, needs),
        speeds=tuple(
            MemberSpeed(member=member.name, idle=1 / sum(work.values()), busy=1 / seconds)
            for member, work, seconds in zip(inside, works, busy, strict=True)
        ),
    )


def uses(search: Search, group: Group, needs: Mapping[str, Need]) -> tuple[PoolUse, ...]:
    """What a group takes of every pool of known size; what may lie on any GPU is dealt to those with most left."""
    known = {**search.fixed, **needs}
    width = len(search.pools.names)
    used = list(total((known[name] for name in group.members if name in known), width + 2)[:width])
    capacity = search.pools.capacity
    loose = sum(entry.size for entry in search.asked.externals if entry.name in group.members and entry.pool == ANY_GPU)
    for index in sorted(range(width - 1), key=lambda index: used[index] - capacity[index]):
        part = min(loose, max(0, capacity[index] - used[index]))
        used[index] += part
        used[-1] += part if search.machine.gpus[index].draws_on_ram else 0
        loose -= part
    return tuple(
        PoolUse(pool=name, capacity=most, used=have)
        for name, most, have in zip(search.pools.names, capacity, used, strict=False)
        if most < UNKNOWN
    )


def _reasons(search: Search, found: Found, threads: Mapping[str, int]) -> Iterator[Reason]:
    places = " x ".join(str(count) for count in found.rivals.values())
    if found.options:
        yield Reason(
            verdict=ReasonVerdict.CHOSEN,
            subject="joint placement",
            statement=f"least priority-weighted seconds of a {search.asked.objective} among {places} places, every one "
            f"priced; neighbours count as busy {search.asked.busy:.0%} of their time",
            source="exact search over all members and groups",
        )
    for name in found.options:
        yield from cpu_reasons(search, found, name)
    fitting = [group for group in search.asked.groups if search.fits_alone(group)]
    for group in fitting:
        if group.name not in {kept.name for kept in found.groups}:
            yield Reason(
                verdict=ReasonVerdict.REJECTED,
                subject=group.name,
                statement="fits by itself, but not with the same arguments that the other groups need",
                source="exact search over all members and groups",
            )
    if len(threads) > 1:
        yield Reason(
            verdict=ReasonVerdict.NOTE,
            subject="threads",
            statement=f"{', '.join(threads)} compute on the CPU together and share its cores",
            source="rule decode-threads",
        )


def _assumptions(search: Search) -> Iterator[Assumption]:
    if search.machine.ram is None:
        yield Assumption(
            subject=RAM, statement="RAM unknown: nothing was checked against it", source="machine description"
        )
    for entry in search.asked.externals:
        if entry.size:
            yield Assumption(
                subject=entry.name,
                statement=f"takes {gib(entry.size)} of {entry.pool}, as stated; not priced",
                source="stack file",
            )

"""Why each member of a stack is where it is, beside its neighbours."""

from __future__ import annotations

from collections.abc import Iterator

from omniplan.domain.evidence import Reason, ReasonVerdict
from omniplan.domain.headroom import PROMPT_CACHE
from omniplan.stack.asked import On
from omniplan.stack.neighbours import added
from omniplan.stack.options import on_cpu
from omniplan.stack.search import Found, Search
from omniplan.units import MIB, gib


def place_reasons(found: Found, name: str, *, cache: int, threads: int) -> Iterator[Reason]:
    """Why a member is where it is, beside ``cache`` bytes of prompt cache and so many threads, 0 for any."""
    groups = [group.name for group in found.groups if name in group.members]
    yield Reason(
        verdict=ReasonVerdict.CHOSEN,
        subject=f"place of {name}",
        statement=f"the best of {found.rivals[name]} places beside its neighbours in "
        f"{', '.join(groups) or 'no group'}; margins are of what they leave",
        source="joint search over all members",
    )
    if cache < PROMPT_CACHE:
        yield Reason(
            verdict=ReasonVerdict.CHOSEN,
            subject=f"-cram {cache // MIB}",
            statement=f"its part of the RAM that is left: {gib(cache)} instead of llama-server's 8 GiB of prompt cache",
            source="llama.cpp b11434 --cache-ram",
        )
    if threads:
        yield Reason(
            verdict=ReasonVerdict.CHOSEN,
            subject=f"-t {threads}",
            statement="members that compute on the CPU at the same time share its physical cores",
            source="rule decode-threads: no more threads than physical cores",
        )


def cpu_reasons(search: Search, found: Found, name: str) -> Iterator[Reason]:
    """Why a member that may be on GPUs has weights in RAM: no room, or what its neighbours would wait."""
    own, request = found.options[name], search.requests[name]
    if request.on is On.CPU or not search.machine.gpus or not on_cpu(own.solved.solution):
        return
    groups = [group for group in found.groups if name in group.members]
    needs = {other: option.need for other, option in found.options.items()}
    room = search.room_beside([name], [(group, needs) for group in groups])
    there = [
        option
        for option in search.options[name]
        if not on_cpu(option.solved.solution)
        and all(need <= left for need, left in zip(option.need, room, strict=True))
    ]
    statement = "its neighbours leave no GPU room for all of it"
    if there:
        option = min(there, key=lambda option: option.cost)
        names = ", ".join(search.pools.names[index] for index in option.gpus)
        neighbours = {other for group in groups for other in group.members if other in found.options} - {name}
        waited = search.asked.busy * sum(
            search.requests[other].priority * added(found.options[other].work, option.work) for other in neighbours
        )
        statement = (
            f"{names} has room for all of it, where it takes {option.solved.solution.seconds:.3g} s instead of "
            f"{own.solved.solution.seconds:.3g} s; its neighbours would wait {waited:.3g} s by priority for it there, "
            f"busy {search.asked.busy:.0%} of their time"
        )
    yield Reason(
        verdict=ReasonVerdict.CHOSEN,
        subject=f"{name} on the CPU",
        statement=statement,
        source="joint search over all members",
    )

"""Which other hosts take part in a plan: as few as do, and one more only where it is clearly faster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Final

from omniplan.domain.evidence import Reason, ReasonVerdict
from omniplan.domain.hosts import joined, joined_addresses
from omniplan.domain.machine import Machine
from omniplan.domain.request import Request
from omniplan.formats.remote import safety
from omniplan.planning.ladder import Ladder
from omniplan.planning.result import Solved
from omniplan.planning.solution import least_gain
from omniplan.planning.timing import ERROR

# Every set of so many hosts is planned with; of more, those that the machine file names first.
_ALL_SETS: Final = 3


def over_hosts(machine: Machine, request: Request, search: Callable[[Machine], Solved | Ladder]) -> Solved | Ladder:
    """What ``search`` finds with as few hosts of ``machine`` as do; the ladder with all of them where none do.

    A further host must save the share of the time that another placement must, and what more GPUs must.
    """
    best: Solved | Ladder | None = None
    told: list[Reason] = []
    for chosen in ways(machine, request):
        found = search(joined(machine, chosen))
        if not isinstance(found, Solved):
            best = best if isinstance(best, Solved) else found
            continue
        if not isinstance(best, Solved):
            told += [_needed(chosen)] if chosen else []
            best = found
            continue
        gain, least = 1 - found.solution.seconds / best.solution.seconds, _least(found, best, chosen)
        told.append(_weighed(chosen, gain, least))
        best = found if gain > least else best
    assert best is not None
    if isinstance(best, Solved):
        for reason in (*told, *_safe(best.problem.machine)):
            best.reporter.note(reason)
    return best


def _safe(machine: Machine) -> Iterator[Reason]:
    """What listening at the addresses in use exposes."""
    for address in joined_addresses(machine):
        statement = "; ".join(safety(address))
        yield Reason(verdict=ReasonVerdict.NOTE, subject=address, statement=statement, source="tools/rpc of b11434")


def ways(machine: Machine, request: Request) -> Iterator[tuple[str, ...]]:
    """Sets of addresses to plan with, the smallest first; those that pins name are in all of them."""
    every = [host.address for host in machine.hosts]
    named = {address for address in every for pin in request.pins if f"[{address}]" in pin.buffer_type}
    for count in range(len(every) + 1):
        sets = combinations(every, count) if len(every) <= _ALL_SETS else iter([tuple(every[:count])])
        yield from (chosen for chosen in sets if named <= set(chosen))


def _least(found: Solved, best: Solved, chosen: tuple[str, ...]) -> float:
    """The share of the time to save: none against a plan with as many hosts."""
    if len(chosen) <= len(joined_addresses(best.problem.machine)):
        return 0.0
    objective = found.problem.request.objective
    return least_gain(objective, found.solution.prediction, best.solution.prediction, has_more_gpus=True)


def _needed(chosen: tuple[str, ...]) -> Reason:
    statement = "nothing with fewer hosts keeps the limits"
    return Reason(verdict=ReasonVerdict.CHOSEN, subject=_subject(chosen), statement=statement, source="search")


def _weighed(chosen: tuple[str, ...], gain: float, least: float) -> Reason:
    share = f"saves {gain:.0%} of the predicted time" if gain > 0 else "saves no predicted time"
    verdict = ReasonVerdict.CHOSEN if gain > least else ReasonVerdict.REJECTED
    than = "more" if gain > least else "less"
    statement = f"{share}, {than} than the {least:.0%} it must" if least else f"{share} against another host"
    return Reason(verdict=verdict, subject=_subject(chosen), statement=statement, source=ERROR)


def _subject(chosen: tuple[str, ...]) -> str:
    return f"host{'s' * (len(chosen) > 1)} {', '.join(chosen)}"

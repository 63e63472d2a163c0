"""What has a model wholly on GPUs whose memory is the RAM: a larger share, or a smaller context, cache or quant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from omniplan.domain.evidence import Reason, ReasonVerdict
from omniplan.domain.machine import Machine
from omniplan.llamacpp.quant.requantise import requantise, smaller_quants
from omniplan.machines.advice import share_limits
from omniplan.planning import smaller
from omniplan.planning.problem import Problem
from omniplan.planning.solution import Solution
from omniplan.units import GIB, MIB, gib, mib, pad

# What ttm.pages_limit counts in.
_PAGE = 4096

_Quants = tuple[tuple[int, str], ...]


def all_on_gpus(problem: Problem, found: Solution) -> Iterator[Reason]:
    """What has everything on the GPUs where a plan leaves weights to the CPU, which reads one memory more slowly."""
    if not problem.streams(found.footprint) or not _share_memory(problem.machine):
        return
    if ways := "; or ".join(onto_gpus(problem, smaller_quants(problem.model))):
        yield Reason(
            verdict=ReasonVerdict.NOTE,
            subject="all on the GPU",
            statement=f"CPU and GPU read one memory, the GPU faster: {ways}",
            source="each of these has been searched for",
        )


def onto_gpus(problem: Problem, quants: _Quants) -> Iterator[str]:
    """Ways to have everything on GPUs that all draw on RAM, in words; none where a GPU has memory of its own."""
    machine = problem.machine
    if not _share_memory(machine):
        return
    usual, raised = _on_gpus(problem, machine), _on_gpus(problem, _raised(machine))
    whole = smaller.found(raised) if raised.machine != machine else None
    if whole is not None:
        yield f"as it is, {_share(machine, whole)}"
    if n_ctx := smaller.largest_context(usual, {}):
        yield f"with {n_ctx:,} tokens"
    for changes in smaller.cache_types(usual):
        yield f"with a {', '.join(changes['cache_types'])} cache"
    size, name = smaller.largest_quant(usual, quants, {})
    if name:
        yield f"as {name}, {gib(size)}"
    if whole is None and raised.machine != machine:
        more, larger = smaller.largest_quant(raised, quants, {})
        if more > size and (needs := smaller.found(_as(raised, larger))):
            yield f"as {larger}, {gib(more)}, {_share(machine, needs)}"


def _share_memory(machine: Machine) -> bool:
    return bool(machine.gpus) and all(gpu.draws_on_ram for gpu in machine.gpus)


def _on_gpus(problem: Problem, machine: Machine) -> Problem:
    """The same on ``machine`` with no weights of a layer on the CPU."""
    request = replace(problem.request, cpu_experts=False, cpu_weights=False)
    return Problem(problem.model, machine, request, problem.settings)


def _as(problem: Problem, quant: str) -> Problem:
    return Problem(requantise(problem.model, quant), problem.machine, problem.request, problem.settings)


def _raised(machine: Machine) -> Machine:
    """The machine with GPUs that may take all that processes may; itself where they may already."""
    memory = machine.memory
    if memory is None or not any(gpu.gtt or gpu.working_set for gpu in machine.gpus):
        return machine
    gpus = tuple(
        replace(gpu, gtt=None, working_set=None, total=memory.total, free=memory.available, reserved=memory.reserved)
        for gpu in machine.gpus
    )
    return replace(machine, gpus=gpus)


def _share(machine: Machine, needs: Solution) -> str:
    """The share of RAM that a placement needs for a GPU, in whole GiB, and how it is given where that is known.

    Of several GPUs it is the one that holds most.
    """
    held = {margin.pool: margin for margin in needs.margins}
    gpu = max(machine.gpus, key=lambda gpu: held[gpu.name].used if gpu.name in held else -1)
    margin = held[gpu.name]
    size = pad(margin.used + margin.context + margin.growth, GIB)
    rule = next((rule for rule in share_limits().values() if rule.source in gpu.limit_source), None)
    how = f" ({rule.raising.format(mib=size // MIB, pages=size // _PAGE)})" if rule else ""
    return f"with {mib(size)} for the GPU{how}"

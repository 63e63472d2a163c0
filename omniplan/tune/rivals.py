"""The plans that could win on a machine whose speeds are not known exactly: all priced, and all with headroom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.params import LoadMode
from omniplan.domain.plan import Plan
from omniplan.domain.request import Request
from omniplan.errors import Infeasible
from omniplan.planning.microbatch import SIZES
from omniplan.planning.planner import solve
from omniplan.planning.result import Solved, plan_of
from omniplan.predict import processor


def rivals(model: Model, machine: Machine, request: Request) -> tuple[Plan, ...]:
    """The plan of every micro-batch in reach, and of each the ways to run it that the model may be wrong about.

    Those are op offload, how the file is loaded, and threads. The first is what ``plan`` chooses. Raises Infeasible
    where no micro-batch has a plan.
    """
    found: dict[tuple[str, ...], Plan] = {}
    refused: Infeasible | None = None
    for n_ubatch in _sizes(request):
        try:
            solved = solve(model, machine, replace(request, n_ubatch=n_ubatch, baselines=False))
        except Infeasible as refusal:
            refused = refused or refusal
            continue
        for variant in _variants(solved):
            plan = plan_of(variant)
            found.setdefault(plan.server_args, plan)
    if not found and refused:
        raise refused
    return tuple(sorted(found.values(), key=lambda plan: plan.prediction.request_seconds.value))


def _sizes(request: Request) -> list[int]:
    """The asked micro-batch, else all that are not twice the prompt."""
    if request.n_ubatch is not None:
        return [request.n_ubatch]
    return [size for size in SIZES if size < 2 * max(request.n_prompt, SIZES[0])]


def _variants(solved: Solved) -> Iterator[Solved]:
    """The solution itself, and what differs from it in one or more ways and keeps the headroom."""
    yield solved
    problem, usual = solved.problem, solved.solution.params
    if not problem.streams(solved.solution.footprint):
        return
    for op_offload in (True, False):
        for load_mode in dict.fromkeys((usual.load_mode, LoadMode.NONE, LoadMode.MMAP)):
            for n_threads in _threads(problem.machine, usual.n_threads):
                params = replace(
                    usual, op_offload=op_offload, load_mode=load_mode, n_threads=n_threads, n_threads_batch=n_threads
                )
                candidate = replace(solved.solution.candidate, params=params)
                # Priced as it stands: nothing is to be advised beside it.
                other = problem.price(candidate, is_plain=True)
                if not other.missing:
                    yield replace(solved, solution=other)


def _threads(machine: Machine, usual: int) -> list[int]:
    """What the plan has, all cores, and half of them: one too many waits for the slowest, too few leave RAM idle."""
    cores = processor.cores(machine, [])
    return list(dict.fromkeys(n for n in (usual, cores, max(1, cores // 2)) if n > 0))

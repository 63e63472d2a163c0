"""A plan from beginning to end: what is asked, the search, the baselines, and whether --fit would do as well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from omniplan.domain.defaults import DEFAULT_CONTEXT
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.params import ServerParams
from omniplan.domain.plan import Plan, Settings
from omniplan.domain.request import AUTO, Request
from omniplan.errors import RequestError
from omniplan.gguf.companions import with_requested
from omniplan.llamacpp.build import known as build_known
from omniplan.llamacpp.flags.refusals import devices_in_use
from omniplan.planning.baselines import best_of, rivals
from omniplan.planning.choices import search
from omniplan.planning.hosts import over_hosts
from omniplan.planning.ladder import Ladder, Outcome
from omniplan.planning.levers import levers
from omniplan.planning.microbatch import first_fit
from omniplan.planning.min_batch import crossover
from omniplan.planning.one_memory import all_on_gpus
from omniplan.planning.problem import Problem
from omniplan.planning.remedies import refusal
from omniplan.planning.result import Solved, plan_of

# What looks for the best of all that may be chosen.
Search = Callable[[Problem], Outcome]


def make_plan(model: Model, machine: Machine, request: Request) -> Plan:
    """The fastest plan that keeps every limit; raises Infeasible with the nearest miss and remedies."""
    return plan_of(solve(model, machine, request))


def advised_plan(model: Model, machine: Machine, request: Request) -> Plan:
    """The same, with what takes searches of its own: levers, and what has all on GPUs that share RAM."""
    solved = solve(model, machine, request)
    for reason in all_on_gpus(solved.problem, solved.solution):
        solved.reporter.note(reason)
    plan = plan_of(solved)
    return replace(plan, levers=levers(solved.problem, solved.solution)) if request.baselines else plan


def quick_plan(model: Model, machine: Machine, request: Request) -> Plan | None:
    """The placement of one search, for whoever waits: the usual value of what is free, the least context, no baselines.

    It keeps every limit, and ``advised_plan`` may better it. None where one search finds nothing.
    """
    found = attempt(model, machine, _usual(request), first_fit)
    return plan_of(found) if isinstance(found, Solved) else None


def _usual(request: Request) -> Request:
    """The request with nothing left to weigh but the placement."""
    return replace(
        request,
        n_ctx=request.n_ctx_least or request.n_ctx,
        n_ctx_least=None,
        cache_types=request.cache_types[:1],
        n_ubatch=request.n_ubatch or ServerParams().n_ubatch,
        mtp=request.mtp or 0,
        moe_cache=None if request.moe_cache == AUTO else request.moe_cache,
        baselines=False,
    )


def solve(model: Model, machine: Machine, request: Request) -> Solved:
    """The fastest placement that keeps every limit, before it is put into words; raises Infeasible."""
    found = attempt(model, machine, request)
    if isinstance(found, Solved):
        return found
    raise refusal(found)


def attempt(model: Model, machine: Machine, request: Request, searched: Search = search) -> Solved | Ladder:
    """The same, or the ladder that nobody could climb, for which no remedy has been sought yet."""
    if request.moe_cache is not None and not build_known(request.build).moe_cache:
        raise RequestError(
            "moe_cache",
            request.moe_cache,
            f"b{request.build} has no cache of experts; leave it out, or name a build that has one",
        )
    served = with_requested(model, request)
    return over_hosts(_in_use(machine), request, lambda joined: _searched(served, joined, request, searched))


def _in_use(machine: Machine) -> Machine:
    """The machine without the integrated GPUs that llama.cpp leaves out beside others."""
    used = devices_in_use(ServerParams(), machine.gpus)
    idle = [gpu.name for gpu in machine.gpus if gpu.name not in used]
    notes = (f"{name}: integrated, and left out beside other GPUs, as llama.cpp does" for name in idle)
    gpus = tuple(gpu for gpu in machine.gpus if gpu.name in used)
    return replace(machine, gpus=gpus, notes=(*machine.notes, *notes)) if idle else machine


def _searched(model: Model, machine: Machine, request: Request, searched: Search) -> Solved | Ladder:
    """The fastest placement on a machine whose hosts are chosen, or the ladder nobody could climb."""
    problem = Problem(model, machine, request, _begun(model, request))
    n_pins = len(problem.pins.overrides)
    if request.max_patterns is not None and n_pins > request.max_patterns:
        raise RequestError(
            "max_patterns", request.max_patterns, f"{n_pins} pins are more patterns than that; allow as many"
        )
    ladder, found = searched(problem)
    settled = ladder.problem.settings
    known = {}
    if request.baselines and not problem.is_beyond_all:
        # Whoever does without a planner leaves alone what only a search would settle.
        usual = replace(settled, n_ubatch=problem.settings.n_ubatch, op_offload=True, head_on_cpu=False, moe_cache=0)
        known = rivals(ladder.problem, ladder.problem.settled(usual), found, ladder.reporter)
    found = best_of(found, known, request.objective, ladder.reporter)
    if found is None:
        return ladder
    solved = Solved(problem=ladder.problem, reporter=ladder.reporter, solution=found, rivals=known)
    return _crossed(solved) if settled.op_offload else solved


def _crossed(solved: Solved) -> Solved:
    """The same, with prompts too short to be worth the copies computed on the CPU."""
    crossed = crossover(solved.problem, solved.solution)
    if crossed is None:
        return solved
    solved.reporter.note(crossed.reason)
    settings = replace(solved.problem.settings, offload_min_batch=crossed.n_tokens)
    return replace(solved, problem=solved.problem.settled(settings), solution=crossed.solution)


def usual_context(model: Model) -> int:
    """Tokens of a request that names no context."""
    return min(model.hparams.n_ctx_train or DEFAULT_CONTEXT, DEFAULT_CONTEXT)


def _begun(model: Model, request: Request) -> Settings:
    """What a search begins with."""
    return Settings(
        n_ctx=request.n_ctx or max(request.n_ctx_least or 0, usual_context(model)),
        n_ubatch=request.n_ubatch or ServerParams().n_ubatch,
        cache_type_k=request.cache_type_k,
        cache_type_v=request.cache_type_v,
        mtp=request.mtp or 0,
        moe_cache=request.moe_cache if isinstance(request.moe_cache, int) else 0,
    )

"""Why nothing fits, and the smallest changes that would help."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from omniplan.domain.params import LEAST_CONTEXT, MAX_DEVICES
from omniplan.domain.plan import Settings
from omniplan.domain.request import Request, RequestChanges
from omniplan.errors import ArgumentError, Infeasible
from omniplan.llamacpp.load.unpriced import unpriced_devices
from omniplan.planning import candidates
from omniplan.planning.ladder import Ladder
from omniplan.planning.problem import Problem
from omniplan.text.verdict import left_out
from omniplan.units import MIB, gib, mib

# iq1_s, the smallest type of llama.cpp that is used for language models.
_LEAST_BITS = 1.5625


def refusal(ladder: Ladder) -> Infeasible:
    """The error for a ladder nobody could climb."""
    problem, closest = ladder.problem, dict(_closest(ladder))
    where = ", ".join(f"{mib(size)} on {name}" for name, size in closest.items())
    weights = problem.model.header.tensor_bytes
    bounds = " within the bounds asked for" if _bounds(problem.request) else ""
    summary = (
        f"{problem.model.header.paths[0]}: {gib(weights)} of weights do not fit on {problem.machine.name}"
        f"{bounds}: {f'short by {where}' if where else 'no placement keeps that'}"
    )
    if unpriced := tuple(unpriced_devices(problem.machine.gpus)):
        summary += f" ({left_out(unpriced)})"
    remedies = () if problem.is_beyond_all else (*_requests(problem), *_freer(problem))
    advice = tuple(_smaller(problem, closest))
    if not remedies and not advice:
        advice = (_hopeless(problem),)
    return Infeasible(summary, shortfall=closest, remedies=remedies, advice=advice)


def _closest(ladder: Ladder) -> Mapping[str, int]:
    """The missing bytes of the nearest miss.

    Under bounds the search may have priced one GPU alone, so all of them are priced here, by what they hold.
    """
    problem, known = ladder.problem, ladder.reporter.closest
    budgets = [problem.headroom.budget_of(gpu) // MIB for gpu in problem.machine.gpus]
    if not _bounds(problem.request) or problem.is_beyond_all or not 1 < len(budgets) < MAX_DEVICES or not any(budgets):
        return known
    missing = problem.price(
        candidates.by_size(problem.params, budgets, problem.model.hparams.n_layer_all, problem.pins)
    ).missing
    return min((found for found in (known, missing) if found), key=lambda found: sum(found.values()), default=known)


def _bounds(request: Request) -> RequestChanges:
    """What frees the request of what the user has fixed beside the machine."""
    free = RequestChanges()
    if request.pins:
        free["pins"] = ()
    if request.max_patterns is not None:
        free["max_patterns"] = None
    if not request.cpu_experts:
        free["cpu_experts"] = True
    if not request.cpu_weights:
        free["cpu_weights"] = True
    return free


def _freer(problem: Problem) -> Iterator[RequestChanges]:
    """The same without what the user has fixed."""
    bounds = _bounds(problem.request)
    if bounds and _fits(problem, replace(problem.request, **bounds), problem.settings):
        yield bounds


def _requests(problem: Problem) -> Iterator[RequestChanges]:
    """Smaller requests that fit."""
    settings = problem.settings
    if settings.n_ctx > LEAST_CONTEXT and (n_ctx := _largest_context(problem)):
        yield {"n_ctx": n_ctx, "n_ctx_least": None} if problem.request.n_ctx_least else {"n_ctx": n_ctx}
    smaller = replace(settings, cache_type_k="q8_0", cache_type_v="q8_0")
    if settings.cache_type_k == "f16" and _fits(problem, problem.request, smaller):
        yield {"cache_types": ("q8_0",)}


def _smaller(problem: Problem, closest: Mapping[str, int]) -> Iterator[str]:
    """A smaller quant that fits, where one can exist."""
    weights = problem.model.header.tensor_bytes
    room = weights - sum(closest.values())
    if closest and room >= _smallest(problem):
        yield f"a quant of at most {gib(room)} ({room / weights:.0%} of this one) would fit"


def _hopeless(problem: Problem) -> str:
    return f"no quant of this model would: even {_LEAST_BITS} bits per weight are {gib(_smallest(problem))}"


def _smallest(problem: Problem) -> int:
    return int(sum(tensor.n_elements for tensor in problem.model.header.tensors) * _LEAST_BITS / 8)


def _largest_context(problem: Problem) -> int:
    """The largest halving of the asked context that fits, 0 when none does."""
    n_ctx = problem.settings.n_ctx // 2
    while n_ctx >= LEAST_CONTEXT:
        if _fits(problem, problem.request, replace(problem.settings, n_ctx=n_ctx)):
            return n_ctx
        n_ctx //= 2
    return 0


def _fits(problem: Problem, request: Request, settings: Settings) -> bool:
    try:
        return Ladder(Problem(problem.model, problem.machine, request, settings)).climb() is not None
    except ArgumentError:
        return False

"""Why nothing fits, and the smallest changes that would help."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from omniplan.domain.params import LEAST_CONTEXT, MAX_DEVICES
from omniplan.domain.plan import Settings
from omniplan.domain.request import Request
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
    summary = (
        f"{problem.model.header.paths[0]}: {gib(weights)} of weights do not fit on {problem.machine.name}"
        f"{_bounds(problem.request)}: {f'short by {where}' if where else 'no placement keeps that'}"
    )
    if unpriced := tuple(unpriced_devices(problem.machine.gpus)):
        summary += f" ({left_out(unpriced)})"
    asked = () if problem.is_beyond_all else (*_requests(problem), *_freer(problem))
    remedies = (*asked, *_smaller(problem, closest)) or (_hopeless(problem),)
    return Infeasible(summary, shortfall=closest, remedies=remedies)


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


def _bounds(request: Request) -> str:
    """What the user has fixed beside the machine."""
    flags = {
        "--pin": bool(request.pins),
        "--max-patterns": request.max_patterns is not None,
        "--no-cpu-experts": not request.cpu_experts,
        "--gpu-only": not request.cpu_weights,
    }
    said = [flag for flag, is_set in flags.items() if is_set]
    return f" with {', '.join(said)}" if said else ""


def _freer(problem: Problem) -> Iterator[str]:
    """The same without what the user has fixed."""
    said = _bounds(problem.request)
    free = replace(problem.request, pins=(), max_patterns=None, cpu_experts=True, cpu_weights=True)
    if said and _fits(problem, free, problem.settings):
        yield f"it fits without{said.removeprefix(' with')}"


def _requests(problem: Problem) -> Iterator[str]:
    """Smaller requests that fit."""
    settings = problem.settings
    if settings.n_ctx > LEAST_CONTEXT and (n_ctx := _largest_context(problem)):
        yield f"it fits with --ctx {n_ctx}"
    smaller = replace(settings, cache_type_k="q8_0", cache_type_v="q8_0")
    if settings.cache_type_k == "f16" and _fits(problem, problem.request, smaller):
        yield "it fits with --cache-type q8_0"


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

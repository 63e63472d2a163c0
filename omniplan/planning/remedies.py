"""Why nothing fits, and the smallest changes with which it does; every one of them has been planned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from omniplan.domain.model import Model
from omniplan.domain.params import LEAST_CONTEXT, MAX_DEVICES
from omniplan.domain.plan import Settings
from omniplan.domain.request import Request, RequestChanges
from omniplan.domain.tensor_type import TYPE_BY_NAME
from omniplan.errors import ArgumentError, Infeasible
from omniplan.llamacpp.load.memory import caches
from omniplan.llamacpp.load.unpriced import unpriced_devices
from omniplan.llamacpp.quant.requantise import requantise, smaller_quants
from omniplan.planning import candidates
from omniplan.planning.ladder import Ladder
from omniplan.planning.microbatch import first_fit
from omniplan.planning.problem import Problem
from omniplan.text.verdict import left_out
from omniplan.units import MIB, gib, mib

# Contexts that are offered are a whole number of these, and the training context: nobody asks for a finer one.
CONTEXT_STEP: Final = 1024
# The type of a cache whose loss nobody measures (llama.cpp PR 7412), the one that is offered.
_CACHE_TYPE: Final = "q8_0"


def refusal(ladder: Ladder) -> Infeasible:
    """The error for a ladder nobody could climb."""
    problem, closest = ladder.problem, dict(_closest(ladder))
    where = ", ".join(f"{mib(size)} on {name}" for name, size in closest.items())
    n_ctx = _largest_context(problem, closest)
    summary = (
        f"{problem.model.header.paths[0]}: {_what(problem, is_cache=n_ctx > 0)} do not fit on {problem.machine.name}"
        f"{' within the bounds asked for' if _bounds(problem.request) else ''}: "
        f"{f'short by {where}' if where else 'no placement keeps that'}"
    )
    if unpriced := tuple(unpriced_devices(problem.machine.gpus)):
        summary += f" ({left_out(unpriced)})"
    remedies = (*_contexts(problem, n_ctx), *_cache_types(problem), *_freer(problem))
    # Whoever asks for more than the model was trained for needs no smaller file.
    is_beyond_training = n_ctx == problem.model.hparams.n_ctx_train
    quants = () if n_ctx and is_beyond_training else smaller_quants(problem.model)
    size, quant = _largest_quant(problem, quants, closest)
    advice = [f"{quant} takes {gib(size)}"] if quant else []
    if not remedies and not quant and quants:
        advice.append(_hopeless(problem, quants[0]))
    return Infeasible(summary, shortfall=closest, remedies=remedies, quant=quant, quant_bytes=size, advice=advice)


def contexts_below(n_ctx: int, n_ctx_train: int) -> tuple[int, ...]:
    """The contexts below ``n_ctx`` that may be offered, in tokens: none beyond what the model was trained for."""
    most = min(n_ctx - 1, n_ctx_train or n_ctx)
    sizes = range(LEAST_CONTEXT, most + 1, CONTEXT_STEP)
    return tuple(sorted({*sizes, most} if n_ctx_train == most >= LEAST_CONTEXT else sizes))


def _what(problem: Problem, *, is_cache: bool) -> str:
    """What does not fit: the cache, where less context would, else the weights."""
    weights = f"{gib(problem.model.header.tensor_bytes)} of weights"
    if not is_cache:
        return weights
    cache = sum(cache.nbytes for cache in caches(problem.model, problem.context))
    return f"{gib(cache)} of cache for {problem.settings.n_ctx:,} tokens beside {weights}"


def _hopeless(problem: Problem, least: tuple[int, str]) -> str:
    size, name = least
    return f"no quant of this model would with {problem.settings.n_ctx:,} tokens: even {name} takes {gib(size)}"


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
    """What the user has fixed beside the machine, each with the value that frees it."""
    free: RequestChanges = {}
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
    if bounds and _fits(problem, request=replace(problem.request, **bounds)):
        yield bounds


def _contexts(problem: Problem, n_ctx: int) -> Iterator[RequestChanges]:
    if n_ctx and problem.request.n_ctx_least:
        yield {"n_ctx": n_ctx, "n_ctx_least": None}
    elif n_ctx:
        yield {"n_ctx": n_ctx}


def _cache_types(problem: Problem) -> Iterator[RequestChanges]:
    """A smaller type of cache, where it is one."""
    request, settings = problem.request, problem.settings
    asked = request.cache_types or (settings.cache_type_k, settings.cache_type_v)
    if all(TYPE_BY_NAME[name].is_quantized for name in asked):
        return
    smaller = replace(settings, cache_type_k=_CACHE_TYPE, cache_type_v=_CACHE_TYPE)
    if _fits(problem, request=replace(request, cache_types=(_CACHE_TYPE,)), settings=smaller):
        yield {"cache_types": (_CACHE_TYPE,)}


def _largest_context(problem: Problem, closest: Mapping[str, int]) -> int:
    """The largest context to offer with which it fits, 0 when none does."""
    settings = problem.settings
    sizes = contexts_below(settings.n_ctx, problem.model.hparams.n_ctx_train)
    cached = sum(cache.nbytes for cache in caches(problem.model, problem.context))
    guess = settings.n_ctx * (1 - sum(closest.values()) / cached) if cached else 0
    found = _last(
        len(sizes),
        lambda index: _fits(problem, settings=replace(settings, n_ctx=sizes[index])),
        guess=sum(size <= guess for size in sizes) - 1,
    )
    return sizes[found] if found >= 0 else 0


def _largest_quant(
    problem: Problem, quants: tuple[tuple[int, str], ...], closest: Mapping[str, int]
) -> tuple[int, str]:
    """The largest of these quants that fits, no name when none does."""
    room = problem.model.header.tensor_bytes - sum(closest.values())
    found = _last(
        len(quants),
        lambda index: _fits(problem, model=requantise(problem.model, quants[index][1])),
        guess=sum(size <= room for size, _ in quants) - 1,
    )
    return quants[found] if found >= 0 else (0, "")


def _last(count: int, holds: Callable[[int], bool], *, guess: int) -> int:
    """The last index below ``count`` up to which ``holds`` is true, -1 for none; steps from ``guess`` double."""
    low, high, at, step = -1, count, guess, 1
    while high - low > 1:
        at = min(max(at, low + 1), high - 1)
        if holds(at):
            low, at = at, at + step
        else:
            high, at = at, at - step
        step *= 2
        if low >= 0 and high < count:
            at = (low + high) // 2
    return low


def _fits(
    problem: Problem, *, model: Model | None = None, request: Request | None = None, settings: Settings | None = None
) -> bool:
    """Whether the search finds a placement with these instead, whatever its speed."""
    asked, usual = request or problem.request, settings or problem.settings
    types = asked.cache_types
    every = [replace(usual, cache_type_k=name, cache_type_v=name) for name in types] if types else [usual]
    return any(_is_planned(model or problem.model, problem, asked, each) for each in every)


def _is_planned(model: Model, problem: Problem, request: Request, settings: Settings) -> bool:
    try:
        changed = Problem(model, problem.machine, request, settings)
        return not changed.is_beyond_all and first_fit(changed)[1] is not None
    except ArgumentError:
        return False

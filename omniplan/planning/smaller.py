"""What a problem fits with: the largest context, quant and type of cache, each of which has been searched for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from omniplan.domain.model import Model
from omniplan.domain.params import LEAST_CONTEXT
from omniplan.domain.plan import Settings
from omniplan.domain.request import Request, RequestChanges
from omniplan.domain.tensor_type import TYPE_BY_NAME
from omniplan.errors import ArgumentError
from omniplan.llamacpp.load.memory import caches
from omniplan.llamacpp.quant.requantise import requantise
from omniplan.planning.microbatch import first_fit
from omniplan.planning.problem import Problem
from omniplan.planning.solution import Solution

# Contexts that are offered are a whole number of these, and the training context: nobody asks for a finer one.
CONTEXT_STEP: Final = 1024
# The type of a cache whose loss nobody measures (llama.cpp PR 7412), the one that is offered.
_CACHE_TYPE: Final = "q8_0"


def contexts_below(n_ctx: int, n_ctx_train: int) -> tuple[int, ...]:
    """The contexts below ``n_ctx`` that may be offered, in tokens: none beyond what the model was trained for."""
    most = min(n_ctx - 1, n_ctx_train or n_ctx)
    sizes = range(LEAST_CONTEXT, most + 1, CONTEXT_STEP)
    return tuple(sorted({*sizes, most} if n_ctx_train == most >= LEAST_CONTEXT else sizes))


def cache_types(problem: Problem) -> Iterator[RequestChanges]:
    """A smaller type of cache, where it is one."""
    request, settings = problem.request, problem.settings
    asked = request.cache_types or (settings.cache_type_k, settings.cache_type_v)
    if all(TYPE_BY_NAME[name].is_quantized for name in asked):
        return
    smaller = replace(settings, cache_type_k=_CACHE_TYPE, cache_type_v=_CACHE_TYPE)
    if fits(problem, request=replace(request, cache_types=(_CACHE_TYPE,)), settings=smaller):
        yield {"cache_types": (_CACHE_TYPE,)}


def largest_context(problem: Problem, closest: Mapping[str, int]) -> int:
    """The largest context to offer with which it fits, 0 when none does."""
    settings = problem.settings
    sizes = contexts_below(settings.n_ctx, problem.model.hparams.n_ctx_train)
    cached = sum(cache.nbytes for cache in caches(problem.model, problem.context))
    guess = settings.n_ctx * (1 - sum(closest.values()) / cached) if cached else 0
    found = _last(
        len(sizes),
        lambda index: fits(problem, settings=replace(settings, n_ctx=sizes[index])),
        guess=sum(size <= guess for size in sizes) - 1,
    )
    return sizes[found] if found >= 0 else 0


def largest_quant(problem: Problem, quants: tuple[tuple[int, str], ...], closest: Mapping[str, int]) -> tuple[int, str]:
    """The largest of these quants that fits, no name when none does."""
    room = problem.model.header.tensor_bytes - sum(closest.values())
    found = _last(
        len(quants),
        lambda index: fits(problem, model=requantise(problem.model, quants[index][1])),
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


def fits(
    problem: Problem, *, model: Model | None = None, request: Request | None = None, settings: Settings | None = None
) -> bool:
    """Whether the search finds a placement with these instead, whatever its speed."""
    asked, usual = request or problem.request, settings or problem.settings
    types = asked.cache_types
    every = [replace(usual, cache_type_k=name, cache_type_v=name) for name in types] if types else [usual]
    return any(_is_planned(model or problem.model, problem, asked, each) for each in every)


def _is_planned(model: Model, problem: Problem, request: Request, settings: Settings) -> bool:
    try:
        return found(Problem(model, problem.machine, request, settings)) is not None
    except ArgumentError:
        return False


def found(problem: Problem) -> Solution | None:
    """The first placement that the search finds, whatever its speed."""
    return None if problem.is_beyond_all else first_fit(problem)[1]

"""Plans over a grid of contexts, cache types, micro-batches and slots, and which of them no other beats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Final

from omniplan.domain.defaults import DEFAULT_CONTEXT
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.params import LEAST_CONTEXT
from omniplan.domain.plan import Plan
from omniplan.domain.progress import Progress, unwatched
from omniplan.domain.request import Request
from omniplan.errors import ArgumentError, InputError
from omniplan.gguf.companions import with_requested
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.load.margin import unpriced_build
from omniplan.llamacpp.load.unpriced import unpriced_devices
from omniplan.planning.frontier_values import Frontier, Outcome, Point
from omniplan.planning.ladder import Ladder
from omniplan.planning.planner import attempt
from omniplan.planning.remedies import missing
from omniplan.planning.result import Solved, plan_of
from omniplan.planning.workers import in_order
from omniplan.predict.request import predict_priced
from omniplan.units import mib

# The default contexts: from the least useful one, doubled up to the model's own, at most so many.
_MOST_CONTEXTS: Final = 8


def make_frontier(
    model: Model,
    machine: Machine,
    request: Request,
    *,
    contexts: Sequence[int] | None,
    cache_types: Sequence[str],
    ubatches: Sequence[int],
    parallels: Sequence[int],
    progress: Progress = unwatched,
) -> Frontier:
    """One plan for every combination, the front marked; raises InputError or ArgumentError for a value nobody can use.

    ``request`` says everything that the grid does not vary. Its prompt and answer are priced at the end of each
    context, with all before them in the cache.

    Costs about half a second per combination, on all cores; those with more context than one that does not fit cost
    nothing.
    """
    lists = {"contexts": contexts, "cache_types": cache_types, "ubatches": ubatches, "parallels": parallels}
    for name, values in lists.items():
        if values is not None and not values:
            raise InputError(f"{name}: expected at least one value")
    for name in cache_types:
        parse(["-ctk", name, "-ctv", name])
    asked = sorted(set(default_contexts(model.hparams.n_ctx_train) if contexts is None else contexts))
    plan = partial(attempt, with_requested(model, request), machine)
    settings = product(*(sorted(set(parallels)), dict.fromkeys(cache_types), sorted(set(ubatches))))
    lines = in_order(partial(_line, plan, request, asked), [*settings], progress, _named)
    points = [point for line in lines for point in line]
    return Frontier(
        model=model.title,
        machine=machine.name,
        n_prompt=request.n_prompt,
        n_gen=request.n_gen,
        points=_marked(sorted(points, key=lambda point: point.n_ctx)),
        unpriced=(*unpriced_build(request.build), *unpriced_devices(machine.gpus)),
    )


def _named(setting: tuple[int, str, int]) -> str:
    _, cache_type, n_ubatch = setting
    return f"planning {cache_type}, micro-batch {n_ubatch}"


def default_contexts(n_ctx_train: int) -> tuple[int, ...]:
    """Powers of two from 4,096 and the training context, in tokens: at most eight, evenly spaced among those."""
    every = usual_contexts(n_ctx_train)
    if len(every) <= _MOST_CONTEXTS:
        return every
    step = (len(every) - 1) / (_MOST_CONTEXTS - 1)
    return tuple(every[round(index * step)] for index in range(_MOST_CONTEXTS))


def usual_contexts(n_ctx_train: int) -> tuple[int, ...]:
    """Powers of two from 4,096, and the training context, in tokens."""
    last = n_ctx_train or DEFAULT_CONTEXT
    powers = (LEAST_CONTEXT << shift for shift in range(last.bit_length()))
    return (*(n_ctx for n_ctx in powers if n_ctx < last), last)


def _line(
    plan: Callable[[Request], Solved | Ladder],
    request: Request,
    contexts: Sequence[int],
    setting: tuple[int, str, int],
) -> list[Point]:
    """Growing contexts, all else equal: no cache shrinks when the context grows, so the first refusal is the last."""
    n_parallel, cache_type, n_ubatch = setting
    refused, points = "", []
    for n_ctx in contexts:
        point = Point(n_ctx=n_ctx, cache_type=cache_type, n_ubatch=n_ubatch, n_parallel=n_parallel, why_not=refused)
        if not refused:
            point, refused = _tried(plan, request, point)
        points.append(point)
    return points


def _tried(plan: Callable[[Request], Solved | Ladder], request: Request, point: Point) -> tuple[Point, str]:
    """The point with its plan or why it has none, and what to say of points with more context."""
    try:
        found = plan(_at(point, request))
    except ArgumentError as error:
        return replace(point, why_not=str(error)), str(error)
    if isinstance(found, Ladder):
        return replace(point, why_not=short(found)), f"not tried, since {point.n_ctx:,} tokens do not fit"
    return _priced(point, found), ""


def _at(point: Point, request: Request) -> Request:
    return replace(
        request,
        n_ctx=point.n_ctx,
        n_ctx_least=None,
        cache_types=(),
        n_parallel=point.n_parallel,
        cache_type_k=point.cache_type,
        cache_type_v=point.cache_type,
        n_ubatch=point.n_ubatch,
    )


def _priced(point: Point, solved: Solved) -> Point:
    """The point with its plan's outcome at the end of its context, or refused where a slot cannot hold the request."""
    plan = plan_of(solved)
    if refused := too_small(plan):
        return replace(point, why_not=refused)
    n_prompt, n_gen = plan.prediction.n_prompt, plan.prediction.n_gen
    depth = plan.footprint.n_ctx_seq - n_prompt - n_gen
    problem, found = solved.problem, solved.solution
    prediction = predict_priced(problem.model, problem.machine, found.params, found.footprint, n_prompt, n_gen, depth)
    return replace(point, depth=depth, outcome=Outcome.of(replace(plan, prediction=prediction)))


def too_small(plan: Plan) -> str:
    """Why a plan's slots cannot hold the request that is priced; "" when they can."""
    n_request = plan.prediction.n_prompt + plan.prediction.n_gen
    slot = plan.footprint.n_ctx_seq
    return f"a slot of {slot:,} tokens cannot hold the request of {n_request:,}" if slot < n_request else ""


def short(ladder: Ladder) -> str:
    """What a search that found nothing lacks, in a few words."""
    where = ", ".join(f"{mib(size)} on {name}" for name, size in missing(ladder).items())
    return f"short by {where}" if where else "no pool is large enough"


def _marked(points: Sequence[Point]) -> tuple[Point, ...]:
    """The points, those of the Pareto front marked."""
    merits = [_merit(point) for point in points]
    return tuple(
        replace(point, is_efficient=bool(merit) and not any(_beats(other, merit) for other in merits))
        for point, merit in zip(points, merits, strict=True)
    )


def _merit(point: Point) -> tuple[float, ...]:
    """What is better when larger; empty without a plan."""
    if point.outcome is None:
        return ()
    return point.n_ctx, point.n_parallel, -point.outcome.request_seconds.value, -sum(point.outcome.used.values())


def _beats(other: tuple[float, ...], merit: tuple[float, ...]) -> bool:
    """At least as good in everything and better in something."""
    return bool(other) and other != merit and all(its >= ours for its, ours in zip(other, merit, strict=True))

"""What may be chosen besides the placement: drafts, cache types, context, micro-batch, the output's place."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from omniplan.domain.evidence import Reason, ReasonVerdict
from omniplan.domain.prediction import Objective
from omniplan.errors import ArgumentError, RequestError
from omniplan.llamacpp.ggml import buffers
from omniplan.llamacpp.load import weights
from omniplan.llamacpp.load.context import CELL_PAD
from omniplan.planning.drafting import best_drafting
from omniplan.planning.expert_cache import with_expert_cache
from omniplan.planning.ladder import Ladder, Outcome
from omniplan.planning.microbatch import best_batching
from omniplan.planning.problem import Problem
from omniplan.planning.solution import EARNS, Solution, is_clearly_faster
from omniplan.planning.timing import MODEL

# Contexts between the least and the wish that are looked at, by bisection.
_STEPS: Final = 16


def search(problem: Problem) -> Outcome:
    """The best of all that may be chosen; the ladder of what was tried last where nothing fits."""
    return best_drafting(problem, _cached_best)


def _cached_best(problem: Problem) -> Outcome:
    """The best with any of the cache types.

    Cache types come in order of preference, the best in quality first: a later one must be predicted faster than the
    best so far by more than the time model's error, or be the first that fits.
    """
    best: Outcome | None = None
    tried: list[str] = []
    types = tuple(dict.fromkeys(problem.request.cache_types))
    if not types:
        return _longest(problem)
    if len(types) == 1:
        return _longest(_cached(problem, types[0]))
    for name in types:
        try:
            outcome = _longest(_cached(problem, name))
        except ArgumentError as error:
            tried.append(f"{name}: {error}")
            continue
        tried.append(f"{name}: {_said(outcome[1])}")
        if best is None or _is_better(outcome[1], best[1], problem.request.objective):
            best = outcome
    if best is None:
        raise RequestError("cache_types", ",".join(types), f"none of them can be used: {'; '.join(tried)}")
    settings = best[0].problem.settings
    statement = f"of {', '.join(tried)}; types are in order of preference, and a later one must be clearly faster"
    subject = f"-ctk {settings.cache_type_k} -ctv {settings.cache_type_v}"
    best[0].reporter.note(Reason(verdict=ReasonVerdict.CHOSEN, subject=subject, statement=statement, source=MODEL))
    return best


def _cached(problem: Problem, name: str) -> Problem:
    return problem.settled(replace(problem.settings, cache_type_k=name, cache_type_v=name))


def _said(found: Solution | None) -> str:
    return "does not fit" if found is None else f"{found.footprint.n_ctx:,} tokens, {found.seconds:.3g} s"


def _is_better(rival: Solution | None, found: Solution | None, objective: Objective) -> bool:
    """Whether it fits where the other does not, or is faster by more than comparing the two is off."""
    if rival is None or found is None:
        return rival is not None
    return is_clearly_faster(rival, found, objective)


def _longest(problem: Problem) -> Outcome:
    """The most context up to the wish that is not clearly slower than the least that was asked for."""
    least, wish = problem.request.n_ctx_least, problem.settings.n_ctx
    if least is None or least >= wish:
        return _settled(problem)
    shortest = _settled(_as_long(problem, least))
    if shortest[1] is None:
        return shortest
    best, tried = shortest, [_said(shortest[1])]
    sizes = _between(least, wish)
    low, high = 0, len(sizes)
    at = len(sizes) - 1
    while low < high:
        outcome = _settled(_as_long(problem, sizes[at]))
        is_good = outcome[1] is not None and not _is_better(shortest[1], outcome[1], problem.request.objective)
        tried.append(_said(outcome[1]) if outcome[1] else f"{sizes[at]:,} tokens do not fit")
        if is_good:
            best, low = outcome, at + 1
        else:
            high = at
        at = (low + high) // 2
    statement = (
        f"the most of {least:,} to {wish:,} tokens that is not clearly slower than the least; {'; '.join(tried)}"
    )
    subject = f"-c {best[0].problem.settings.n_ctx}"
    best[0].reporter.note(Reason(verdict=ReasonVerdict.CHOSEN, subject=subject, statement=statement, source=MODEL))
    return best


def _as_long(problem: Problem, n_ctx: int) -> Problem:
    return problem.settled(replace(problem.settings, n_ctx=n_ctx))


def _between(least: int, wish: int) -> list[int]:
    """Contexts above the least, in whole cells of the cache, the wish last."""
    points = {least + (wish - least) * step // _STEPS // CELL_PAD * CELL_PAD for step in range(1, _STEPS)}
    return [*sorted(point for point in points if least < point < wish), wish]


def _settled(problem: Problem) -> Outcome:
    """The best placement with the context and cache types of the request."""
    ladder, found = with_expert_cache(*best_batching(problem))
    if found is not None and _head_may_move(ladder.problem, found):
        rival = Ladder(ladder.problem.settled(replace(ladder.problem.settings, head_on_cpu=True)))
        other = rival.climb()
        if other is not None and other.seconds < found.seconds / (1 + EARNS):
            what = "the output matrix in RAM"
            statement = f"{what}: predicted {other.seconds:.3g} s against {found.seconds:.3g} s"
            rival.reporter.note(Reason(verdict=ReasonVerdict.CHOSEN, subject=what, statement=statement, source=MODEL))
            return rival, other
    return ladder, found


def _head_may_move(problem: Problem, found: Solution) -> bool:
    """Whether a dense model has weights on the CPU, of which the output matrix could be one in their place."""
    is_short = buffers.CPU in found.footprint.layers or bool(found.candidate.moved)
    left, own = problem.patterns_left, found.n_patterns - len(problem.pins.overrides)
    heads = {weights.OUTPUT, weights.TOKEN_EMBEDDING}
    is_free = not heads & problem.pins.homes.keys() and (left is None or left > own)
    return is_short and is_free and problem.request.cpu_weights and not problem.is_moe

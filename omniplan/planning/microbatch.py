"""The micro-batch, and whether a GPU computes a prompt's share of weights in RAM: what takes the least predicted time.

Both are chosen together: a large micro-batch streams weights less often and takes more room, and where the processor
computes its share itself nothing is streamed, so that the best of one depends on the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from omniplan.domain.evidence import Reason, ReasonVerdict
from omniplan.domain.plan import Settings
from omniplan.domain.prediction import Cause
from omniplan.planning.ladder import Ladder, Outcome
from omniplan.planning.problem import Problem
from omniplan.planning.solution import EARNS, Solution, is_clearly_faster, seconds_to_beat
from omniplan.planning.timing import MODEL, seconds
from omniplan.predict.request import predict_priced

SIZES: Final = (256, 512, 1024, 2048, 4096, 8192)

_Found = tuple[Ladder, Solution]


def best_batching(problem: Problem) -> Outcome:
    """The search of the best micro-batch and op offload, and what it found."""
    usual, found = first_fit(problem)
    if found is None:
        return usual, None
    tried = [(usual, found), *_faster(usual, found, found.seconds)]
    chosen, best = _best(tried)
    if len(tried) > 1 or problem.request.n_ubatch is None:
        chosen.reporter.note(_reason(chosen.problem.settings, tried))
    return chosen, best


def faster_size(problem: Problem, found: Solution) -> tuple[int, Solution] | None:
    """Another micro-batch than the one that the request names, if that is clearly faster, and what it comes to."""
    free = Ladder(Problem(problem.model, problem.machine, replace(problem.request, n_ubatch=None), problem.settings))
    objective = problem.request.objective
    rival, other = _best([(free, found), *_faster(free, found, seconds_to_beat(found, objective))])
    return (rival.problem.settings.n_ubatch, other) if is_clearly_faster(other, found, objective) else None


def first_fit(problem: Problem) -> Outcome:
    """The usual settings, else the first of the smallest size that fit; the usual ones where nothing does.

    No size fits where the smallest does not, since a compute buffer shrinks with the micro-batch.
    """
    usual = Ladder(problem)
    if found := usual.climb():
        return usual, found
    options = () if problem.is_beyond_all else tuple(_options(problem))
    smallest = min((settings.n_ubatch for settings in options), default=0)
    for settings in options:
        if settings.n_ubatch == smallest:
            ladder = Ladder(problem.settled(settings))
            if found := ladder.climb():
                return ladder, found
    return usual, None


def _options(problem: Problem) -> Iterator[Settings]:
    """What else may be settled, smallest first: sizes in reach where that is free, with op offload and without.

    No size beyond the first that holds the whole prompt: it runs as often, and takes more room.
    """
    usual = problem.settings
    reach = [SIZES[0], *(size for size in SIZES[1:] if size <= usual.n_ctx and size < 2 * problem.request.n_prompt)]
    for size in [usual.n_ubatch] if problem.request.n_ubatch else reach:
        for op_offload in (True, False):
            settings = replace(usual, n_ubatch=size, op_offload=op_offload)
            if settings != usual:
                yield settings


def _faster(ladder: Ladder, found: Solution, most: float) -> Iterator[_Found]:
    """What searches with other settings find that may take less than ``most`` seconds, and less than those before.

    One simulation says what compute buffers consist of; masks, activations and inputs are scaled to the other sizes,
    which says what a search takes at least. Those that may take least come first. Without weights in RAM, op offload
    is nothing.
    """
    problem = ladder.problem
    has_weights_in_ram = Cause.CPU_WEIGHTS in found.prediction.terms or not problem.settings.op_offload
    estimated = []
    for settings in _options(problem):
        if settings.op_offload == problem.settings.op_offload or has_weights_in_ram:
            rival = Ladder(problem.settled(settings), found.footprint)
            estimated.append((_least(rival, found, most), rival))
    for estimate, rival in sorted(estimated, key=lambda item: item[0]):
        if estimate >= most:
            break
        if (result := rival.climb((1 + EARNS) * most)) is not None:
            most = min(most, result.seconds)
            yield rival, result


def _best(tried: Sequence[_Found]) -> _Found:
    """The simplest of those that nobody would notice to be slower than the fastest; among equals the first."""
    least = min(found.seconds for _, found in tried)
    close = [item for item in tried if item[1].seconds <= (1 + EARNS) * least]
    return min(close, key=lambda item: (item[1].n_gpus, item[1].n_patterns, item[1].seconds))


def _least(rival: Ladder, found: Solution, most: float) -> float:
    """Seconds that a search takes at least: of layouts with scaled compute buffers, or of the one at hand.

    More than ``most`` may be any number of them.
    """
    problem = rival.problem
    request = problem.request
    if (least := rival.least(found.footprint, most)) is not None:
        return least
    asked = problem.params
    params = replace(found.params, n_batch=asked.n_batch, n_ubatch=asked.n_ubatch, op_offload=asked.op_offload)
    priced = predict_priced(problem.model, problem.machine, params, found.footprint, request.n_prompt, request.n_gen, 0)
    return seconds(priced, request.objective)


def _reason(settings: Settings, tried: Sequence[_Found]) -> Reason:
    said = ", ".join(_said(ladder.problem.settings, found) for ladder, found in tried)
    return Reason(
        verdict=ReasonVerdict.CHOSEN,
        subject=f"-ub {settings.n_ubatch}{'' if settings.op_offload else ' --no-op-offload'}",
        statement=f"the simplest within {EARNS:.0%} of the least predicted time, micro-batch and op offload together "
        f"({said}; any other takes longer)",
        source=MODEL,
    )


def _said(settings: Settings, found: Solution) -> str:
    offload = "" if settings.op_offload else " without op offload"
    return f"{settings.n_ubatch}{offload}: {found.seconds:.3g} s"

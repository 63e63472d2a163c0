"""The micro-batch, and whether a GPU computes a prompt's share of weights in RAM: what takes the least predicted time.

Both are chosen together: a large micro-batch streams weights less often and takes more room, and where the processor
computes its share itself nothing is streamed, so that the best of one depends on the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from omniplan.domain.evidence import Reason, ReasonVerdict
from omniplan.domain.footprint import ComputePart, Footprint
from omniplan.domain.plan import Settings
from omniplan.domain.prediction import Cause
from omniplan.planning.ladder import Ladder
from omniplan.planning.problem import Problem
from omniplan.planning.solution import Solution, is_clearly_faster
from omniplan.planning.timing import MODEL, seconds
from omniplan.predict.request import predict_priced

SIZES: Final = (256, 512, 1024, 2048, 4096, 8192)
# What of a compute buffer does not grow with the micro-batch.
_FIXED: Final = (ComputePart.OFFLOAD, ComputePart.KV_COPIES)


def best_batching(problem: Problem) -> tuple[Ladder, Solution | None]:
    """The search of the best micro-batch and op offload, and what it found.

    One simulation says what compute buffers consist of; masks, activations and inputs are scaled to the other sizes,
    the programme divides layers with the room that leaves, and what may still be faster is simulated, best first.
    """
    chosen, found = first_fit(problem)
    if found is None:
        return chosen, None
    best, tried = found, [_said(chosen.problem.settings, found)]
    for estimate, ladder in _promising(chosen, found):
        if estimate >= best.seconds:
            break
        if (result := ladder.climb()) is not None:
            tried.append(_said(ladder.problem.settings, result))
            if result.seconds < best.seconds:
                chosen, best = ladder, result
    if len(tried) > 1:
        chosen.reporter.note(_reason(chosen.problem.settings, tried))
    return chosen, best


def faster_size(ladder: Ladder, found: Solution) -> Reason | None:
    """What the most promising other micro-batch would gain, where that is clear; None where nothing would.

    The request names the micro-batch; one search tells whether another would be worth asking for.
    """
    problem = ladder.problem
    free = Ladder(Problem(problem.model, problem.machine, replace(problem.request, n_ubatch=None), problem.settings))
    estimate, rival = next(iter(_promising(free, found)), (found.seconds, free))
    if estimate >= found.seconds or (other := rival.climb()) is None:
        return None
    if not is_clearly_faster(other, found, problem.request.objective):
        return None
    return Reason(
        verdict=ReasonVerdict.NOTE,
        subject=f"-ub {rival.problem.settings.n_ubatch}",
        statement=f"predicted {other.seconds:.3g} s instead of {found.seconds:.3g} s; leave the micro-batch free, "
        "and the best is found",
        source=MODEL,
    )


def first_fit(problem: Problem) -> tuple[Ladder, Solution | None]:
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
    """What else may be settled, smallest first: sizes in reach where that is free, with op offload and without."""
    usual = problem.settings
    sizes = [usual.n_ubatch] if problem.request.n_ubatch else [size for size in SIZES if size <= usual.n_ctx]
    for size in sizes:
        for op_offload in (True, False):
            settings = replace(usual, n_ubatch=size, op_offload=op_offload)
            if settings != usual:
                yield settings


def _promising(ladder: Ladder, found: Solution) -> list[tuple[float, Ladder]]:
    """Searches with other settings and their estimated seconds, least first; nothing computes what is not in RAM."""
    problem, estimated = ladder.problem, []
    streams = Cause.STREAMING in found.prediction.prompt_terms or not problem.settings.op_offload
    for settings in _options(problem):
        if settings.op_offload == problem.settings.op_offload or streams:
            rival = Ladder(problem.settled(settings))
            estimated.append((_estimate(rival, problem.settings, found), rival))
    return sorted(estimated, key=lambda item: item[0])


def _estimate(rival: Ladder, usual: Settings, found: Solution) -> float:
    """Seconds of the best division of layers with scaled compute buffers, or of the layout at hand."""
    problem = rival.problem
    settings, request = problem.settings, problem.request
    scaled = _scaled(found.footprint, settings.n_ubatch / usual.n_ubatch, op_offload=settings.op_offload)
    # The programme knows nothing of micro-batches that overlap, which they do where all is on several GPUs.
    divided = rival.estimate(scaled) if found.candidate.moved else None
    if divided is not None:
        return divided
    asked = problem.params
    params = replace(found.params, n_batch=asked.n_batch, n_ubatch=asked.n_ubatch, op_offload=asked.op_offload)
    priced = predict_priced(problem.model, problem.machine, params, found.footprint, request.n_prompt, request.n_gen, 0)
    return seconds(priced, request.objective)


def _scaled(priced: Footprint, factor: float, *, op_offload: bool) -> Mapping[str, int]:
    """Compute buffers of a micro-batch ``factor`` times as large, with all beside the model, by device."""
    return {
        name: priced.reserved(name)
        - sum(parts.values())
        + sum(
            size if part in _FIXED else round(size * factor)
            for part, size in parts.items()
            if op_offload or part is not ComputePart.OFFLOAD
        )
        for name, parts in priced.compute_parts.items()
    }


def _said(settings: Settings, found: Solution) -> str:
    offload = "" if settings.op_offload else " without op offload"
    return f"{settings.n_ubatch}{offload}: {found.seconds:.3g} s"


def _reason(settings: Settings, tried: list[str]) -> Reason:
    return Reason(
        verdict=ReasonVerdict.CHOSEN,
        subject=f"-ub {settings.n_ubatch}{'' if settings.op_offload else ' --no-op-offload'}",
        statement=f"the least predicted time of what looked best, micro-batch and op offload together "
        f"({', '.join(tried)})",
        source=MODEL,
    )

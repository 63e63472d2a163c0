"""The micro-batch with the least predicted time: large ones stream weights less often, and take more room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from omniplan.domain.evidence import Reason, ReasonVerdict
from omniplan.domain.footprint import ComputePart, Footprint
from omniplan.planning.ladder import Ladder
from omniplan.planning.problem import Problem
from omniplan.planning.solution import Solution
from omniplan.planning.timing import MODEL

SIZES: Final = (256, 512, 1024, 2048, 4096, 8192)
# Sizes that are searched and simulated in full, after all have been estimated from one simulation: one more where all
# is on GPUs, since the programme knows nothing of micro-batches that overlap.
_FINALISTS: Final = 2
_FINALISTS_ON_GPUS: Final = 3
# What of a compute buffer does not grow with the micro-batch.
_FIXED: Final = (ComputePart.OFFLOAD, ComputePart.KV_COPIES)


def best_size(problem: Problem) -> tuple[Ladder, Solution | None]:
    """The search of the best micro-batch and what it found; ``problem`` has the usual one.

    One simulation says what compute buffers consist of; masks, activations and inputs are scaled to the other sizes,
    the programme divides layers with the room that leaves, and the most promising sizes are simulated.
    """
    usual = Ladder(problem)
    found = usual.climb()
    if found is None:
        smaller = Ladder(_sized(problem, SIZES[0]))
        found = smaller.climb()
        smaller.reporter.note(_reason(SIZES[0], [f"{problem.settings.n_ubatch}: does not fit"]))
        return smaller, found
    tried = [f"{problem.settings.n_ubatch}: {found.seconds:.3g} s"]
    chosen, best = usual, found
    most = _FINALISTS if found.candidate.moved else _FINALISTS_ON_GPUS
    for ladder in _promising(usual, found.footprint)[:most]:
        result = ladder.climb()
        if result is None:
            continue
        tried.append(f"{ladder.problem.settings.n_ubatch}: {result.seconds:.3g} s")
        if result.seconds < best.seconds:
            chosen, best = ladder, result
    chosen.reporter.note(_reason(chosen.problem.settings.n_ubatch, tried))
    return chosen, best


def _promising(usual: Ladder, priced: Footprint) -> list[Ladder]:
    """Searches of the sizes whose estimated time is least, best first."""
    problem, estimated = usual.problem, []
    usual_size = problem.settings.n_ubatch
    for size in SIZES:
        if size == usual_size or size > problem.settings.n_ctx:
            continue
        ladder = Ladder(_sized(problem, size))
        seconds = ladder.estimate(_scaled(priced, size / usual_size))
        if seconds is not None:
            estimated.append((seconds, size, ladder))
    estimated.sort(key=lambda item: item[:2])
    return [ladder for _, _, ladder in estimated]


def _sized(problem: Problem, n_ubatch: int) -> Problem:
    return problem.settled(replace(problem.settings, n_ubatch=n_ubatch))


def _scaled(priced: Footprint, factor: float) -> Mapping[str, int]:
    """Compute buffers of a micro-batch ``factor`` times as large, by device."""
    return {
        name: sum(size if part in _FIXED else round(size * factor) for part, size in parts.items())
        for name, parts in priced.compute_parts.items()
    }


def _reason(n_ubatch: int, tried: list[str]) -> Reason:
    return Reason(
        verdict=ReasonVerdict.CHOSEN,
        subject=f"-ub {n_ubatch}",
        statement=f"the least predicted time of the micro-batches that looked best of {SIZES[0]} to {SIZES[-1]} "
        f"({', '.join(tried)})",
        source=MODEL,
    )

"""The micro-batch with the least predicted time: large ones stream weights less often, and take more room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from omniplan.domain.evidence import Reason
from omniplan.domain.footprint import Footprint
from omniplan.domain.plan import Request
from omniplan.llamacpp.parts import Part
from omniplan.search import timing
from omniplan.search.arguments import Candidate
from omniplan.search.planner import USUAL_BATCH, Ladder

SIZES: Final = (256, 512, 1024, 2048, 4096, 8192)
# Sizes that are searched and simulated in full, after all have been estimated from one simulation.
_FINALISTS: Final = 2
# What of a compute buffer does not grow with the micro-batch.
_FIXED: Final = (Part.OFFLOAD.value, Part.KV_COPIES.value)

Found = tuple[Candidate, Footprint]


def best_size(usual: Ladder) -> tuple[Ladder, Found | None]:
    """The search of the best micro-batch and what it found; ``usual`` is a search with 512, not yet begun.

    One simulation says what compute buffers consist of; masks, activations and inputs are scaled to the other sizes,
    the programme divides layers with the room that leaves, and the most promising sizes are simulated.
    """
    found = usual.climb()
    if found is None:
        smaller = _ladder(usual, SIZES[0])
        found = smaller.climb()
        smaller.reporter.note(_reason(smaller.request, [f"{USUAL_BATCH}: does not fit"]))
        return smaller, found
    least = usual.seconds(*found)
    tried = [f"{USUAL_BATCH}: {least:.3g} s"]
    best: tuple[Ladder, Found] = usual, found
    for ladder in _promising(usual, found[1]):
        result = ladder.climb()
        if result is None:
            continue
        took = ladder.seconds(*result)
        tried.append(f"{ladder.request.n_ubatch}: {took:.3g} s")
        if took < least:
            least, best = took, (ladder, result)
    chosen, result = best
    chosen.reporter.note(_reason(chosen.request, tried))
    return chosen, result


def _promising(usual: Ladder, priced: Footprint) -> Iterator[Ladder]:
    """Searches of the sizes whose estimated time is least, best first."""
    estimated = []
    for size in SIZES:
        if size == USUAL_BATCH or size > usual.request.n_ctx:
            continue
        ladder = _ladder(usual, size)
        seconds = ladder.estimate(_scaled(priced, size / USUAL_BATCH))
        if seconds is not None:
            estimated.append((seconds, size, ladder))
    estimated.sort(key=lambda item: item[:2])
    yield from (ladder for _, _, ladder in estimated[:_FINALISTS])


def _ladder(usual: Ladder, size: int) -> Ladder:
    return Ladder(usual.model, usual.machine, replace(usual.request, n_ubatch=size), usual.headroom)


def _scaled(priced: Footprint, factor: float) -> Mapping[str, int]:
    """Compute buffers of a micro-batch ``factor`` times as large, by device."""
    return {
        name: sum(size if part in _FIXED else round(size * factor) for part, size in parts.items())
        for name, parts in priced.compute_parts.items()
    }


def _reason(request: Request, tried: list[str]) -> Reason:
    return Reason(
        verdict="chosen",
        subject=f"-ub {request.n_ubatch}",
        statement=f"the least predicted time of the micro-batches that looked best of {SIZES[0]} to {SIZES[-1]} "
        f"({', '.join(tried)})",
        source=timing.MODEL,
    )

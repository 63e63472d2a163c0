"""How large a cache of experts the GPUs get (--moe-cache-mib): what it takes of them, against what it gains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from omniplan.domain.evidence import Reason, ReasonVerdict
from omniplan.domain.request import AUTO
from omniplan.errors import ArgumentError
from omniplan.planning.ladder import Ladder, Outcome
from omniplan.planning.microbatch import best_batching
from omniplan.planning.solution import Solution, is_clearly_faster
from omniplan.planning.timing import MODEL
from omniplan.predict.hits import SOURCE, even_from
from omniplan.units import MIB

# Parts of the room that experts and a cache have on the GPUs together. What is used last is used again, so that the
# first slots count most: hits fall slower than a cache shrinks, and experts that stay on a GPU never miss. So time
# falls with the size up to a point, and grows from there.
_PARTS: Final = (0.08, 0.2, 0.5, 0.95)
# MiB; a number that is easier to read.
_STEP: Final = 64


def with_expert_cache(ladder: Ladder, found: Solution | None) -> Outcome:
    """The search with the cache that is clearly faster, where the request leaves its size free; else as it was."""
    problem = ladder.problem
    if problem.request.moe_cache != AUTO or found is None or not (found.candidate.moved and problem.is_moe):
        return ladder, found
    best: tuple[Ladder, Solution] | None = None
    for size in _sizes(ladder, found):
        try:
            rival, result = best_batching(problem.settled(replace(problem.settings, moe_cache=size)))
        except ArgumentError:
            # Too few slots for the experts of one token.
            continue
        if result is None or result.prediction.cached_experts is None:
            continue
        if best is not None and best[1].seconds < result.seconds:
            break
        best = rival, result
    if best is None:
        return ladder, found
    is_worth_it = is_clearly_faster(best[1], found, problem.request.objective)
    chosen = best if is_worth_it else (ladder, found)
    chosen[0].reporter.note(_reason(best[1], found, is_worth_it=is_worth_it))
    return chosen


def _sizes(ladder: Ladder, found: Solution) -> Iterator[int]:
    """MiB to try, the least first: parts of what experts on the GPUs take now, with what is left over there."""
    problem = ladder.problem
    moved = set(found.candidate.moved)
    held = sum(size for il, size in enumerate(problem.costs.movable) if il not in moved)
    gpus = {gpu.name for gpu in problem.machine.gpus}
    left = sum(max(0, margin.left) for margin in found.margins if margin.pool in gpus)
    for part in _PARTS:
        if size := int(part * (held + left)) // MIB // _STEP * _STEP:
            yield size


def _reason(result: Solution, found: Solution, *, is_worth_it: bool) -> Reason:
    with_it, without = (
        f"{each.prediction.decode_tokens_per_second.value:.3g} tokens/s and {each.seconds:.3g} s"
        for each in (result, found)
    )
    even = even_from(result.prediction, sum(found.prediction.terms.values()))
    return Reason(
        verdict=ReasonVerdict.CHOSEN if is_worth_it else ReasonVerdict.REJECTED,
        subject=f"--moe-cache-mib {result.params.moe_cache}",
        statement=f"experts in RAM cached on the GPUs: predicted {with_it} against {without} without"
        f"{'' if is_worth_it else ', which is not clearly faster'}; a token is {even}",
        source=f"{MODEL}; {SOURCE}",
    )

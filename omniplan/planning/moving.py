"""What the weights on the CPU cost in time, range by range, and what a little more VRAM would save."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from omniplan.domain.evidence import Reason, ReasonVerdict
from omniplan.planning import candidates, patterns
from omniplan.planning.problem import Problem
from omniplan.planning.ranges import Range
from omniplan.planning.solution import Solution
from omniplan.planning.timing import MODEL
from omniplan.predict.request import predict_priced
from omniplan.units import gib


@dataclass(frozen=True, slots=True, kw_only=True)
class _Away:
    """Neighbouring layers with weights on the CPU: ``weight`` is their share of all that a token reads there.

    ``device`` is the GPU that would take the layer ``edge`` next; that needs ``need`` more bytes and brings ``gain``.
    """

    first: int
    last: int
    is_whole: bool
    weight: float
    device: str
    edge: int
    need: int
    gain: float


def cost_of_moving(problem: Problem, solution: Solution) -> Iterator[Reason]:
    """One reason per range of layers with weights on the CPU: its time, and the smallest VRAM that would save some."""
    away = list(_away(problem, solution))
    if not away:
        return
    token, prompt = _saved(problem, solution)
    for part in away:
        layers = f"layers {part.first}-{part.last}" if part.last > part.first else f"layer {part.first}"
        what = "" if part.is_whole else "'s experts" if problem.is_moe else "'s FFN weights"
        yield Reason(
            verdict=ReasonVerdict.NOTE,
            subject=f"time of {layers} on the CPU",
            statement=f"moving {layers}{what} to CPU costs {1e3 * token * part.weight:.1f} ms/token and "
            f"{prompt * part.weight:.2g} s of the prompt; {gib(part.need)} more VRAM on {part.device} "
            f"would save {1e3 * token * part.gain:.1f} ms (layer {part.edge})",
            source=MODEL,
        )


def _saved(problem: Problem, solution: Solution) -> tuple[float, float]:
    """Seconds of a token and of the prompt that would be saved if every weight were on its layer's GPU."""
    request, kept = problem.request, [replace(r, moved=(), cut=None) for r in solution.candidate.ranges]
    kept[0] = replace(kept[0], first=0)
    candidate = candidates.split(
        problem.params, problem.machine, kept, problem.costs.tensors, problem.model.hparams.n_layer_all, problem.pins
    )
    priced = replace(solution.footprint, graph_splits=None)
    params = problem.hosted(candidate.params, solution.footprint)
    found = predict_priced(problem.model, problem.machine, params, priced, request.n_prompt, request.n_gen, 0)
    now = solution.prediction
    token = sum(now.terms.values()) - sum(found.terms.values())
    return max(0.0, token), max(0.0, sum(now.prompt_terms.values()) - sum(found.prompt_terms.values()))


def _away(problem: Problem, solution: Solution) -> Iterator[_Away]:
    """Ranges of neighbouring layers, those that are whole on the CPU first."""
    ranges, costs = solution.candidate.ranges, problem.costs
    if not ranges:
        return
    left = {margin.pool: margin.left for margin in solution.margins}
    total = float(sum(_whole(problem, il) for il in range(ranges[0].first)))
    total += sum(_moved(problem, part, il) for part in ranges for il in part.moved)
    if first := ranges[0].first:
        device, edge = ranges[0].name, first - 1
        yield _Away(
            first=0,
            last=edge,
            is_whole=True,
            weight=sum(_whole(problem, il) for il in range(first)) / total,
            device=device,
            edge=edge,
            need=max(0, costs.base[edge] + costs.movable[edge] - left[device]),
            gain=_whole(problem, edge) / total,
        )
    for part in ranges:
        moved = [il for il in part.moved if costs.movable[il]]
        for start, end in patterns.runs(moved):
            # The layer next to those that are kept: at the front of a range that starts with the model, else its back.
            edge = start if part.first == 0 else end
            here = part.partial.size if edge == part.cut and part.partial else 0
            yield _Away(
                first=start,
                last=end,
                is_whole=False,
                weight=sum(_moved(problem, part, il) for il in range(start, end + 1)) / total,
                device=part.name,
                edge=edge,
                need=max(0, costs.movable[edge] - here - left[part.name]),
                gain=_moved(problem, part, edge) / total,
            )


def _moved(problem: Problem, part: Range, il: int) -> float:
    """Bytes a token reads of what a layer has moved."""
    stays = part.partial.share if il == part.cut and part.partial else 0.0
    return problem.costs.on_cpu[il] * problem.costs.active_share * (1 - stays)


def _whole(problem: Problem, il: int) -> float:
    """Bytes a token reads of a layer that is on the CPU as a whole."""
    return problem.costs.base[il] + problem.costs.movable[il] * problem.costs.active_share

"""What context, cache type, micro-batch and slots trade: points that sliders choose among."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from omniplan.domain.footprint import RAM
from omniplan.domain.plan import Plan
from omniplan.planning.frontier_values import Frontier, Outcome, Point
from omniplan.report.memory import to_scale
from omniplan.report.values import Bar, CommandText, Figure, Segment, TradeoffPoint, Tradeoffs
from omniplan.report.words import RATE, context, estimated, size
from omniplan.text.argv import shell_line
from omniplan.text.palette import Hue
from omniplan.units import GIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A frontier and what its commands need: the path of the model, and the build that is meant."""

    frontier: Frontier
    model_path: str
    llama_cpp: str


def setting_of(plan: Plan) -> tuple[int, str, int, int]:
    """Context, cache type, micro-batch and slots of a plan; of K's type, where V has another."""
    return plan.settings.n_ctx, plan.settings.cache_type_k, plan.settings.n_ubatch, plan.request.n_parallel


def _setting(point: Point) -> tuple[int, str, int, int]:
    return point.n_ctx, point.cache_type, point.n_ubatch, point.n_parallel


def tradeoffs(grid: Grid, start: tuple[int, str, int, int] | None = None) -> Tradeoffs | None:
    """A grid to be moved over, begun at ``start``, else at the first point of the front; None where nothing fits."""
    found = grid.frontier
    fitting = [point for point in found.points if point.outcome is not None]
    if not fitting:
        return None
    begin = next((point for point in fitting if _setting(point) == start), None)
    begin = begin or next((point for point in fitting if point.is_efficient), fitting[0])
    scales = _scales(fitting)
    contexts = tuple(sorted({point.n_ctx for point in found.points}))
    return Tradeoffs(
        title="What the context costs",
        contexts=contexts,
        context_texts=tuple(context(n_ctx) for n_ctx in contexts),
        cache_types=tuple(dict.fromkeys(point.cache_type for point in found.points)),
        ubatches=tuple(sorted({point.n_ubatch for point in found.points})),
        parallels=tuple(sorted({point.n_parallel for point in found.points})),
        points=tuple(_point(point, grid, scales) for point in found.points),
        start=found.points.index(begin),
        remark="Every point is a plan of its own, and its speed that of the end of its context: "
        f"a request of {found.n_prompt:,} + {found.n_gen:,} tokens with all before them in the cache.",
    )


def _scales(points: Sequence[Point]) -> Mapping[str, int]:
    """Bytes by pool that any point takes and leaves, which is all a plan may take."""
    found: dict[str, int] = {}
    for outcome in (point.outcome for point in points if point.outcome is not None):
        for pool, used in outcome.used.items():
            found[pool] = max(found.get(pool, 0), used + max(0, outcome.spare.get(pool, 0)))
    return found


def _point(point: Point, grid: Grid, scales: Mapping[str, int]) -> TradeoffPoint:
    shown = TradeoffPoint(
        n_ctx=point.n_ctx,
        context=context(point.n_ctx),
        n_parallel=point.n_parallel,
        cache_type=point.cache_type,
        n_ubatch=point.n_ubatch,
        series=f"{point.cache_type}, -ub {point.n_ubatch}",
        why_not=point.why_not,
        is_efficient=point.is_efficient,
    )
    outcome = point.outcome
    if outcome is None:
        return shown
    line = shell_line(grid.model_path, outcome.server_args, outcome.environment, grid.llama_cpp)
    return replace(
        shown,
        figures=(*outcome_speeds(outcome), _memory(outcome)),
        memory=tuple(_bars(outcome, scales)),
        command=CommandText(label="Command", line=line),
        strategy=outcome.strategy,
    )


def outcome_speeds(outcome: Outcome) -> tuple[Figure, Figure, Figure]:
    """What a point is judged by."""
    return (
        estimated("decode", "writing", RATE, outcome.decode_tokens_per_second),
        estimated("prompt", "reading a prompt", RATE, outcome.prompt_tokens_per_second),
        estimated("request", "the request", "s", outcome.request_seconds),
    )


def _memory(outcome: Outcome) -> Figure:
    """What all pools hold, in GiB."""
    total = sum(outcome.used.values())
    return Figure(name="memory", label="memory", value=total / GIB, text=size(total))


def _bars(outcome: Outcome, scales: Mapping[str, int]) -> Iterator[Bar]:
    """One bar a pool: taken, and to spare beyond what is kept."""
    bars = {pool: _bar(pool, used, outcome.spare.get(pool), scales[pool]) for pool, used in outcome.used.items()}
    yield from to_scale(bar for pool, bar in bars.items() if pool != RAM)
    yield from (bar for pool, bar in bars.items() if pool == RAM)


def _bar(pool: str, used: int, spare: int | None, scale: int) -> Bar:
    taken = Segment(hue=Hue.TAKEN, label="taken", value=used, text=size(used))
    free = () if not spare or spare < 0 else (Segment(hue=Hue.FREE, label="to spare", value=spare, text=size(spare)),)
    remark = "" if spare is None else f"{size(spare)} to spare"
    return Bar(name=pool, label=pool, text=size(used), segments=(taken, *free), scale=scale, remark=remark)

"""A frontier as a table for a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from omniplan.domain.build import build_lines
from omniplan.planning.frontier_values import Frontier, Outcome, Point
from omniplan.text.speed import digits, span
from omniplan.text.table import table
from omniplan.text.verdict import headed
from omniplan.units import gib, mib

_MARK: Final = "*"
_MEANING: Final = "on the front: no other row is as good in context, slots, request time and bytes, and better in one"


def frontier_text(frontier: Frontier) -> str:
    """One row per point that fits, bytes per pool, then what does not fit and why."""
    request = f"a request of {frontier.n_prompt:,} + {frontier.n_gen:,} tokens"
    lines = [
        f"{frontier.model} on {frontier.machine}: {len(frontier.points)} combinations",
        f"Speed at the end of each context: {request} with all before it in the cache",
    ]
    if frontier.fits is not False:
        lines += ["", _table(frontier), "", f"{_MARK} {_MEANING}"]
        lines += build_lines(point.outcome.build for point in frontier.points if point.outcome is not None)
    refused = list(_refused(frontier))
    if refused:
        lines += ["", "Does not fit:", *refused]
    return "\n".join(headed(frontier.unpriced, lines, fits=frontier.fits))


def setting(point: Point) -> str:
    """All of a point but its context, in llama-server's words."""
    return f"{point.cache_type}, -ub {point.n_ubatch}, -np {point.n_parallel}"


def _table(frontier: Frontier) -> str:
    pairs = [(point, point.outcome) for point in frontier.points if point.outcome is not None]
    pools = list(dict.fromkeys(pool for _, outcome in pairs for pool in outcome.used))
    header = ("", "strategy", "context", "KV", "-ub", "-np", "tokens/s", "prompt tokens/s", "request s", "VRAM")
    rows = [(*_row(point, outcome), *pool_cells(outcome, pools)) for point, outcome in pairs]
    return table((*header, *pools, "least spare"), rows, left=2)


def _row(point: Point, outcome: Outcome) -> tuple[str, ...]:
    return (
        _MARK if point.is_efficient else "",
        outcome.strategy,
        f"{point.n_ctx:,}",
        point.cache_type,
        str(point.n_ubatch),
        str(point.n_parallel),
        span(outcome.decode_tokens_per_second),
        digits(outcome.prompt_tokens_per_second.value),
        span(outcome.request_seconds),
        gib(outcome.vram),
    )


def pool_cells(outcome: Outcome, pools: Sequence[str]) -> Iterator[str]:
    """What is used of each pool, and the least that is to spare."""
    for pool in pools:
        yield gib(outcome.used[pool]) if pool in outcome.used else "-"
    pool, left = min(outcome.spare.items(), key=lambda item: item[1], default=("", 0))
    yield f"{mib(left)} on {pool}" if pool else "unknown"


def _refused(frontier: Frontier) -> Iterator[str]:
    """One line per setting and reason, with the contexts it holds for."""
    contexts: dict[tuple[str, str], list[str]] = {}
    for point in frontier.points:
        if point.outcome is None:
            contexts.setdefault((setting(point), point.why_not), []).append(f"{point.n_ctx:,}")
    for (given, why), found in contexts.items():
        last = f" to {found[-1]}" if len(found) > 1 else ""
        yield f"- {given}, context {found[0]}{last}: {why}"

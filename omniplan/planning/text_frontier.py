"""A frontier as a screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from omniplan.domain.build import build_lines
from omniplan.planning.frontier_values import Frontier, Outcome, Point
from omniplan.text.palette import Hue
from omniplan.text.screen import Heading, Passage, Prose, Screen, Tabular, Toned
from omniplan.text.speed import digits, span
from omniplan.text.verdict import unknown
from omniplan.units import gib, mib

_MARK: Final = "*"
_MEANING: Final = "on the front: no other row is as good in context, slots, request time and bytes, and better in one"


def frontier_screen(frontier: Frontier) -> Screen:
    """A row per point that fits, bytes per pool, then what does not fit and why."""
    request = f"a request of {frontier.n_prompt:,} + {frontier.n_gen:,} tokens"
    counted = f"{frontier.model} on {frontier.machine}: {len(frontier.points)} combinations"
    said = f"Speed at the end of each context: {request} with all before it in the cache"
    pairs = [(point, point.outcome) for point in frontier.points if point.outcome is not None]
    title = "; ".join((counted, *_ends(pairs)))
    builds = [Prose(line) for line in build_lines(outcome.build for _, outcome in pairs)]
    found = [Prose(f"{_MARK} {_MEANING}", hang=2), *builds]
    return Screen(
        (
            unknown(frontier.unpriced, fits=frontier.fits),
            Passage([Prose(Toned(title, Hue.TITLE), hang=2), Prose(said, hang=2)]),
            Passage([_table(pairs)] if pairs else []),
            Passage(found if pairs else []),
            Passage(list(_refused(frontier)), title="Does not fit"),
        )
    )


def _ends(pairs: Sequence[tuple[Point, Outcome]]) -> Iterator[str]:
    """What the least and the most context come to, each at its fastest."""
    for n_ctx in sorted({min(sizes), max(sizes)} if (sizes := [point.n_ctx for point, _ in pairs]) else ()):
        fastest = max(_rate(outcome) for point, outcome in pairs if point.n_ctx == n_ctx)
        yield f"{digits(fastest)} tokens/s at the end of {n_ctx:,} tokens"


def _rate(outcome: Outcome) -> float:
    return outcome.decode_tokens_per_second.value


def setting(point: Point) -> str:
    """All of a point but its context, in llama-server's words."""
    return f"{point.cache_type}, -ub {point.n_ubatch}, -np {point.n_parallel}"


def _table(pairs: Sequence[tuple[Point, Outcome]]) -> Tabular:
    pools = pools_of([outcome for _, outcome in pairs])
    columns = (
        Heading("", is_left=True),
        Heading("context"),
        Heading("KV"),
        Heading("-ub"),
        Heading("-np"),
        Heading("tokens/s"),
        Heading("VRAM"),
        Heading("prompt/s"),
        Heading("request s", rank=1),
        *pool_columns(pools),
        Heading("strategy", is_left=True, rank=4),
    )
    return Tabular(columns, [_row(point, outcome, pools) for point, outcome in pairs])


def _row(point: Point, outcome: Outcome, pools: Sequence[str]) -> tuple[str, ...]:
    return (
        _MARK if point.is_efficient else "",
        f"{point.n_ctx:,}",
        point.cache_type,
        str(point.n_ubatch),
        str(point.n_parallel),
        span(outcome.decode_tokens_per_second),
        gib(outcome.vram),
        digits(outcome.prompt_tokens_per_second.value),
        span(outcome.request_seconds),
        *pool_cells(outcome, pools),
        outcome.strategy,
    )


def pools_of(outcomes: Sequence[Outcome]) -> list[str]:
    """Every pool that something lies in."""
    return list(dict.fromkeys(pool for outcome in outcomes for pool in outcome.used))


def pool_columns(pools: Sequence[str]) -> Iterator[Heading]:
    """Columns of ``pool_cells``."""
    yield from (Heading(pool, rank=3) for pool in pools)
    yield Heading("least spare", rank=2)


def pool_cells(outcome: Outcome, pools: Sequence[str]) -> Iterator[str]:
    """What is used of each pool, and the least that is to spare."""
    for pool in pools:
        yield gib(outcome.used[pool]) if pool in outcome.used else "-"
    pool, left = min(outcome.spare.items(), key=lambda item: item[1], default=("", 0))
    yield f"{mib(left)} on {pool}" if pool else "unknown"


def _refused(frontier: Frontier) -> Iterator[Prose]:
    """A line per setting and reason, with the contexts it holds for."""
    contexts: dict[tuple[str, str], list[str]] = {}
    for point in frontier.points:
        if point.outcome is None:
            contexts.setdefault((setting(point), point.why_not), []).append(f"{point.n_ctx:,}")
    for (given, why), found in contexts.items():
        last = f" to {found[-1]}" if len(found) > 1 else ""
        yield Prose(f"- {given}, context {found[0]}{last}: {why}", hang=2)

"""A recommendation as a table for a person, with every plan's command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Final

from omniplan.domain.build import build_lines
from omniplan.planning.frontier_values import Outcome
from omniplan.planning.recommendation import QuantOption, Recommendation
from omniplan.planning.text_frontier import pool_cells
from omniplan.text.argv import shell_line
from omniplan.text.speed import digits, span
from omniplan.text.table import table
from omniplan.text.verdict import headed
from omniplan.units import gib

_MEANING: Final = {
    "*": "no other that fits has as many bits per weight and is as fast",
    "~": "an estimate by llama-quantize's rules, not a file",
}


def recommendation_text(found: Recommendation) -> str:
    """The ranking, the commands in its order, what does not fit, and what was left out."""
    request = found.request
    types = dict.fromkeys((request.cache_type_k, request.cache_type_v))
    context = f"Context {request.n_ctx:,} tokens in {request.n_parallel} slot(s), {'/'.join(types)} cache"
    lines = [
        f"{found.model} on {found.machine}: {len(found.options)} quants, ranked by {request.objective}",
        f"{context}; a request of {request.n_prompt:,} + {request.n_gen:,} tokens",
    ]
    pairs = [(option, option.outcome) for option in found.options if option.outcome is not None]
    if pairs:
        lines += ["", _table(pairs), "", *_legend(found), "", *_commands(pairs)]
        lines += ["", *build_lines(outcome.build for _, outcome in pairs)]
    missed = [
        f"- {_name(option)}, {gib(option.tensor_bytes)}: {option.why_not}"
        for option in found.options
        if not option.outcome
    ]
    if missed:
        lines += ["", "Does not fit:", *missed]
    if found.left_out:
        lines += ["", "Left out:", *(f"- {item.path}: {item.reason}" for item in found.left_out)]
    lines += list(_assumed(found))
    return "\n".join(headed(found.unpriced, lines, fits=found.fits))


def _table(pairs: list[tuple[QuantOption, Outcome]]) -> str:
    pools = list(dict.fromkeys(pool for _, outcome in pairs for pool in outcome.used))
    header = (
        "",
        "quant",
        "strategy",
        "bits",
        "size",
        "tokens/s",
        "prompt tokens/s",
        "request s",
        *pools,
        "least spare",
    )
    return table(header, [_row(option, outcome, pools) for option, outcome in pairs], left=3)


def _row(option: QuantOption, outcome: Outcome, pools: list[str]) -> tuple[str, ...]:
    return (
        ("*" if option.is_efficient else " ") + ("~" if option.is_estimate else " "),
        option.quant,
        outcome.strategy,
        f"{option.bits_per_weight:.2f}",
        gib(option.tensor_bytes),
        span(outcome.decode_tokens_per_second),
        digits(outcome.prompt_tokens_per_second.value),
        span(outcome.request_seconds),
        *pool_cells(outcome, pools),
    )


def _legend(found: Recommendation) -> Iterator[str]:
    yield f"* {_MEANING['*']}"
    if any(option.is_estimate for option in found.options):
        yield f"~ {_MEANING['~']}"


def _commands(pairs: list[tuple[QuantOption, Outcome]]) -> Iterator[str]:
    for option, outcome in pairs:
        line = shell_line(option.path, outcome.server_args, outcome.environment, outcome.build.asked)
        yield f"{_name(option)}: {line}"


def _name(option: QuantOption) -> str:
    return f"{option.quant} (estimate)" if option.is_estimate else f"{option.quant} ({PurePath(option.path).name})"


def _assumed(found: Recommendation) -> Iterator[str]:
    statements = dict.fromkeys(
        f"- {item.subject}: {item.statement}" for option in found.options for item in option.assumptions
    )
    if statements:
        yield from ("", "Assumed:", *statements)

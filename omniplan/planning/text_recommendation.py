"""A recommendation for a person: which one to take, all in a table, a command, and what was left out or assumed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Final

from omniplan.domain.build import build_lines
from omniplan.planning.frontier_values import Outcome
from omniplan.planning.recommendation import QuantOption, Recommendation
from omniplan.text.argv import download_line, shell_line
from omniplan.text.speed import digits, rate, span
from omniplan.text.table import table
from omniplan.text.verdict import UNKNOWN, headed
from omniplan.units import gib

_MEANING: Final = {
    "*": "no other that fits has as many bits per weight and is as fast",
    "~": "an estimate by llama-quantize's rules, not a file",
}


def recommendation_text(found: Recommendation) -> str:
    """The answer, the table best first, the command of the first, and what does not fit or was left out."""
    lines = [_answer(found), _asked(found)]
    pairs = [(option, option.outcome) for option in found.options if option.outcome is not None]
    if pairs:
        lines += ["", _table(found, pairs), "", *_legend(found, pairs), "", *_command(*pairs[0])]
        lines += ["", *build_lines(outcome.build for _, outcome in pairs)]
    missed = [f"- {_name(found, option)}, {gib(option.tensor_bytes)}: {option.why_not}" for option in found.options
              if not option.outcome]  # fmt: skip
    if missed:
        lines += ["", "Does not fit:", *missed]
    if found.left_out:
        lines += ["", "Left out:", *(f"- {item.path}: {item.reason}" for item in found.left_out)]
    lines += list(_assumed(found))
    return "\n".join(headed(found.unpriced, lines, fits=found.fits))


def _answer(found: Recommendation) -> str:
    fits = [(option, option.outcome) for option in found.options if option.outcome is not None]
    if not fits:
        return f"None of {len(found.options)} fits on {found.machine}"
    option, outcome = fits[0]
    speed = rate(outcome.decode_tokens_per_second)
    if found.is_one_model:
        return f"Take {option.quant} of {found.model}: {found.why}; {speed} with {option.n_ctx:,} tokens of context"
    count = f"{len(fits)} of {len(found.options)} models run on {found.machine}"
    return f"{count}; the fastest is {option.model} {option.quant}, {speed}"


def _asked(found: Recommendation) -> str:
    request = found.request
    cache = "/".join(dict.fromkeys((request.cache_type_k, request.cache_type_v)))
    slots = "1 slot" if request.n_parallel == 1 else f"{request.n_parallel} slots"
    priced = f"a request of {request.n_prompt:,} + {request.n_gen:,} tokens"
    return f"On {found.machine}: {len(found.options)} planned, {slots}, {cache} cache, {priced}"


def _table(found: Recommendation, pairs: Sequence[tuple[QuantOption, Outcome]]) -> str:
    header = ["", "quant", "size", "context", "tokens/s", "prompt/s", "request s", "perplexity", "KLD", "placement"]
    rows = [_row(found, option, outcome) for option, outcome in pairs]
    if not found.is_one_model:
        header.insert(1, "model")
        rows = [(row[0], option.model, *row[1:]) for row, (option, _) in zip(rows, pairs, strict=True)]
    return table(header, rows, left=2 if found.is_one_model else 3)


def _row(found: Recommendation, option: QuantOption, outcome: Outcome) -> tuple[str, ...]:
    known = option.quality
    lost = (f"+{digits(100 * known.loss)} %", f"{known.divergence:.3f}") if known else (UNKNOWN, UNKNOWN)
    return (
        ("*" if option.is_efficient and found.is_one_model else " ") + ("~" if option.is_estimate else " "),
        option.quant,
        gib(option.tensor_bytes),
        f"{option.n_ctx:,}",
        span(outcome.decode_tokens_per_second),
        digits(outcome.prompt_tokens_per_second.value),
        digits(outcome.request_seconds.value),
        *lost,
        outcome.strategy,
    )


def _legend(found: Recommendation, pairs: Sequence[tuple[QuantOption, Outcome]]) -> Iterator[str]:
    if found.is_one_model:
        yield f"* {_MEANING['*']}"
    if any(option.is_estimate for option, _ in pairs):
        yield f"~ {_MEANING['~']}"
    if known := next((option.quality for option, _ in pairs if option.quality), None):
        yield f"perplexity, KLD: what the quant loses of 16 bits on {known.measured}; larger models lose less"


def _command(option: QuantOption, outcome: Outcome) -> Iterator[str]:
    yield f"{option.quant}{' (once there is such a file)' if option.is_estimate else ''}:"
    yield shell_line(option.path, outcome.server_args, outcome.environment, outcome.build.asked)
    if download := download_line(option.path):
        yield from ("It downloads the model; so does:", download)


def _name(found: Recommendation, option: QuantOption) -> str:
    name = option.quant if found.is_one_model else f"{option.model} {option.quant}"
    return f"{name} (estimate)" if option.is_estimate else f"{name} ({PurePath(option.path).name})"


def _assumed(found: Recommendation) -> Iterator[str]:
    subjects: dict[str, list[str]] = {}
    for option in found.options:
        for item in option.assumptions:
            source = f" [{item.source}]" if option.is_estimate else ""
            subjects.setdefault(f"{item.statement}{source}", []).append(item.subject)
    if subjects:
        yield from ("", "Assumed:")
    for statement, about in subjects.items():
        names = list(dict.fromkeys(about))
        short = [names[0], *(name.removeprefix("quant ") for name in names[1:])]
        yield f"- {', '.join(short)}: {statement}"

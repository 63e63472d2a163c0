"""A recommendation as a screen: which one to take, all in a table, a command, and what was left out or assumed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Final

from omniplan.domain.build import build_lines
from omniplan.planning.frontier_values import Outcome
from omniplan.planning.recommendation import QuantOption, Recommendation
from omniplan.text.argv import server_words
from omniplan.text.download import download
from omniplan.text.palette import Hue
from omniplan.text.screen import Block, Heading, Level, Passage, Prose, Screen, ShellCommand, Tabular, Toned
from omniplan.text.speed import digits, rate, span
from omniplan.text.verdict import UNKNOWN, unknown
from omniplan.units import gib

_MEANING: Final = {
    "*": "no other that fits has as many bits per weight and is as fast",
    "~": "an estimate by llama-quantize's rules, not a file",
}


_Pairs = Sequence[tuple[QuantOption, Outcome]]


def recommendation_screen(found: Recommendation) -> Screen:
    """The answer, the table best first, the command of the first, and what does not fit or was left out."""
    pairs = [(option, option.outcome) for option in found.options if option.outcome is not None]
    missed = [
        Prose(f"- {_name(found, option)}, {gib(option.tensor_bytes)}: {option.why_not}", hang=2)
        for option in found.options
        if not option.outcome
    ]
    left_out = [Prose(f"- {item.path}: {item.reason}", hang=2) for item in found.left_out]
    return Screen(
        (
            unknown(found.unpriced, fits=found.fits),
            Passage([Prose(Toned(_answer(found), Hue.TITLE), hang=2), Prose(_asked(found), hang=2)]),
            Passage([_table(found, pairs)] if pairs else []),
            Passage(list(_legend(found, pairs)) if pairs else []),
            Passage([block for pair in pairs[:1] for block in _command(*pair)]),
            Passage([block for pair in pairs[1:] for block in _command(*pair)], level=Level.TABLES),
            Passage(missed, title="Does not fit"),
            Passage(left_out, title="Left out"),
            Passage([Prose(line) for line in build_lines(outcome.build for _, outcome in pairs)]),
            Passage(list(_assumed(found)), title="Assumed", level=Level.TABLES),
        )
    )


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


def _table(found: Recommendation, pairs: _Pairs) -> Tabular:
    columns = (
        Heading("", is_left=True),
        *(() if found.is_one_model else (Heading("model", is_left=True),)),
        Heading("quant", is_left=True),
        Heading("size"),
        Heading("context"),
        Heading("tokens/s"),
        Heading("prompt/s", rank=2),
        Heading("request s", rank=3),
        Heading("perplexity", rank=1),
        Heading("KLD", rank=3),
        Heading("placement", is_left=True, rank=4),
    )
    return Tabular(columns, [_row(found, option, outcome) for option, outcome in pairs])


def _row(found: Recommendation, option: QuantOption, outcome: Outcome) -> tuple[str, ...]:
    known = option.quality
    lost = (f"+{digits(100 * known.loss)} %", f"{known.divergence:.3f}") if known else (UNKNOWN, UNKNOWN)
    return (
        ("*" if option.is_efficient and found.is_one_model else " ") + ("~" if option.is_estimate else " "),
        *(() if found.is_one_model else (option.model,)),
        option.quant,
        gib(option.tensor_bytes),
        f"{option.n_ctx:,}",
        span(outcome.decode_tokens_per_second),
        digits(outcome.prompt_tokens_per_second.value),
        digits(outcome.request_seconds.value),
        *lost,
        outcome.strategy,
    )


def _legend(found: Recommendation, pairs: _Pairs) -> Iterator[Prose]:
    if found.is_one_model:
        yield Prose(f"* {_MEANING['*']}", hang=2)
    if any(option.is_estimate for option, _ in pairs):
        yield Prose(f"~ {_MEANING['~']}", hang=2)
    if known := next((option.quality for option, _ in pairs if option.quality), None):
        text = f"perplexity, KLD: what the quant loses of 16 bits on {known.measured}; larger models lose less"
        yield Prose(text, hang=2)


def _command(option: QuantOption, outcome: Outcome) -> Iterator[Block]:
    yield Prose(f"{option.quant}{' (once there is such a file)' if option.is_estimate else ''}:")
    yield ShellCommand(server_words(option.path, outcome.server_args, outcome.build.asked), outcome.environment)
    yield from download(option.path)


def _name(found: Recommendation, option: QuantOption) -> str:
    name = option.quant if found.is_one_model else f"{option.model} {option.quant}"
    return f"{name} (estimate)" if option.is_estimate else f"{name} ({PurePath(option.path).name})"


def _assumed(found: Recommendation) -> Iterator[Prose]:
    subjects: dict[str, list[str]] = {}
    for option in found.options:
        for item in option.assumptions:
            source = f" [{item.source}]" if option.is_estimate else ""
            subjects.setdefault(f"{item.statement}{source}", []).append(item.subject)
    for statement, about in subjects.items():
        names = list(dict.fromkeys(about))
        short = [names[0], *(name.removeprefix("quant ") for name in names[1:])]
        yield Prose(f"- {', '.join(short)}: {statement}", hang=2)

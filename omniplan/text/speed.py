"""Predicted speed as text: rates with their range, and where the milliseconds go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from omniplan.domain.evidence import Basis
from omniplan.domain.plan import Plan
from omniplan.domain.prediction import CachedExperts, Cause, Estimate, MeasuredSpeeds, Prediction, Speculation
from omniplan.text.argv import server_words
from omniplan.text.screen import Block, Heading, Level, Passage, Prose, ShellCommand, Tabular
from omniplan.text.verdict import FITS

SPEEDS: Final = ("tokens/s", "prompt tokens/s", "request s")
# What does not load has no speed.
NEVER: Final = ("-", "-", "-")


def speed_lines(prediction: Prediction) -> Iterator[Prose]:
    """Rates and the request, each with its range, and what runs measured."""
    parts = [f"{rate(prediction.decode_tokens_per_second)} generating"]
    if prediction.prompt_terms:
        parts.append(f"{rate(prediction.prompt_tokens_per_second)} for a prompt")
    workload = f"{prediction.n_prompt:,} + {prediction.n_gen:,} tokens"
    request = f"{span(prediction.request_seconds)} s for a request of {workload}"
    yield Prose(f"{', '.join(parts)}; {request}", label="Speed")
    yield from (Prose(_measured(found), label="") for found in prediction.measured)


def term_lines(prediction: Prediction) -> Iterator[Prose]:
    """The terms of a token in ms and of the prompt in s, and what drafts or a cache of experts do."""
    yield Prose(f"ms per token: {_terms(prediction.terms, 1e3)}", hang=2)
    if prediction.prompt_terms:
        yield Prose(f"s per prompt: {_terms(prediction.prompt_terms, 1.0)}", hang=2)
    yield from (Prose(text, hang=2) for text in _cached(prediction.cached_experts))
    yield from (Prose(text, hang=2) for text in _speculation(prediction.speculation))


def _measured(found: MeasuredSpeeds) -> str:
    where = "here" if found.basis is Basis.MEASURED else "elsewhere"
    rates = [
        f"{rate(estimate)} {what}"
        for estimate, what in (
            (found.decode_tokens_per_second, "generating"),
            (found.prompt_tokens_per_second, "for a prompt"),
        )
        if estimate
    ]
    of = f"{found.n_runs} run{'s' * (found.n_runs > 1)} of {found.n_prompt:,} + {found.n_gen:,} tokens"
    return f"Measured {where}: {', '.join(rates)}; {of}, {found.llama_cpp or 'build unknown'}, {found.date}"


def _cached(found: CachedExperts | None) -> list[str]:
    if found is None:
        return []
    low, value, high = (f"{share:.0%}" for share in (found.hits.low, found.hits.value, found.hits.high))
    asked = f"has {value} ({low} to {high}) of those that tokens ask for"
    return [f"Expert cache: holds {found.share:.0%} of the experts of its layers, {asked} ({found.source})"]


def _speculation(found: Speculation | None) -> list[str]:
    if found is None:
        return []
    drafted = f"{found.kind} with {found.n_max} drafts, {span(found.acceptance)} of them kept ({found.source})"
    gain = f"{digits(found.tokens_per_round)} tokens a round, {span(found.gain)} times as fast"
    best = f"--spec-draft-n-max {found.best_n_max}" if found.best_n_max else "not to draft"
    return [f"Speculation: {drafted}: {gain}; best: {best}, {digits(found.best_gain)} times"]


def speed_columns() -> tuple[Heading, ...]:
    """Columns of ``speeds``."""
    return tuple(Heading(name) for name in SPEEDS)


def baseline_section(plan: Plan) -> Passage:
    """The plan beside its baselines, a row each, and --fit's command where it does as well; nothing without."""
    fitting = FITS[plan.footprint.fits]
    rows = [("this plan", fitting, *speeds(plan.prediction))]
    for name, baseline in plan.baselines.items():
        fits = fitting if baseline.fits else "no headroom" if baseline.loads else "no"
        fits = fits if baseline.is_allowed else "not allowed"
        rows.append((name, fits, *(speeds(baseline.prediction) if baseline.loads else NEVER)))
    table = Tabular([Heading("against", is_left=True), Heading("fits"), *speed_columns()], rows)
    return Passage([table, *_alternative(plan)] if plan.baselines else [], level=Level.TABLES)


def _alternative(plan: Plan) -> Iterator[Block]:
    if found := plan.fit_instead:
        yield Prose(f"Or, {found.why}:", hang=2)
        yield ShellCommand(server_words(plan.model.path, found.args, plan.llama_cpp), plan.environment)


def speeds(prediction: Prediction) -> tuple[str, str, str]:
    """The figures of ``SPEEDS``."""
    return (
        digits(prediction.decode_tokens_per_second.value),
        digits(prediction.prompt_tokens_per_second.value),
        digits(prediction.request_seconds.value),
    )


def rate(estimate: Estimate) -> str:
    """Tokens per second with the range."""
    return f"{span(estimate)} tokens/s"


def span(estimate: Estimate) -> str:
    """A value and its range, to three digits."""
    return f"{digits(estimate.value)} ({digits(estimate.low)} to {digits(estimate.high)})"


def digits(value: float) -> str:
    """Three significant digits without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _terms(terms: Mapping[Cause, float], factor: float) -> str:
    ordered = sorted(terms.items(), key=lambda item: -item[1])
    parts = ", ".join(f"{cause} {digits(factor * seconds)}" for cause, seconds in ordered)
    return f"{digits(factor * sum(terms.values()))} = {parts}"

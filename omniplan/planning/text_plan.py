"""A plan as a screen: the command, how fast, what it takes, why, what would be faster; tables and reasons below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from omniplan.domain.evidence import Reason, ReasonVerdict
from omniplan.domain.headroom import Margin
from omniplan.domain.lever import QUANT, Lever
from omniplan.domain.plan import Plan
from omniplan.domain.titles import title_of
from omniplan.formats.regenerate import OPTIONS
from omniplan.text.argv import server_words
from omniplan.text.cells import shortened
from omniplan.text.download import download
from omniplan.text.footprint import context_text, layers_line, splits_lines, table_sections
from omniplan.text.memory import memory_table
from omniplan.text.palette import Hue
from omniplan.text.screen import Heading, Level, Passage, Prose, Screen, ShellCommand, Tabular, Toned, bullets
from omniplan.text.speed import baseline_section, digits, speed_lines, term_lines
from omniplan.text.verdict import unknown, verdict
from omniplan.units import gib, mib

# Levers on the first screen, which fits a terminal of 24 lines: two, or one below the rows of many memories.
_FEW: Final = 2
_MANY_POOLS: Final = 4


def plan_screen(plan: Plan) -> Screen:
    """A plan as a good engineer's note, the answer first."""
    model = plan.model
    machine = shortened(title_of(plan.machine))
    title = Toned(f"{model.title}, {gib(model.tensor_bytes)}, on {machine}", Hue.TITLE)
    settings = f"{context_text(plan.footprint)}, {'/'.join(_cache_types(plan))} cache"
    return Screen(
        (
            unknown(plan.footprint.unpriced, fits=plan.footprint.fits),
            Passage(
                [Prose((title, ": ", verdict(plan.footprint.fits))), Prose(f"{plan.strategy}; {settings}", hang=2)]
            ),
            Passage([_command(plan), *download(model.path)]),
            Passage([memory_table(plan.footprint, plan.margins)]),
            Passage([*speed_lines(plan.prediction), *_explained(plan)]),
            Passage([layers_line(plan.footprint), *splits_lines(plan.footprint)], level=Level.TABLES),
            *table_sections(plan.footprint),
            Passage([margin_table(plan.margins)] if plan.margins else [], level=Level.TABLES),
            Passage(list(term_lines(plan.prediction)), level=Level.TABLES),
            baseline_section(plan),
            Passage([Prose(plan.footprint.build.text)], level=Level.TABLES),
            Passage(bullets(_assumptions(plan)), title="Assumed", level=Level.TABLES),
            Passage(list(_reasons(plan.reasons)), title="Why", level=Level.ALL),
        )
    )


def _command(plan: Plan) -> ShellCommand:
    return ShellCommand(server_words(plan.model.path, plan.server_args, plan.llama_cpp), plan.environment)


def _cache_types(plan: Plan) -> Sequence[str]:
    return tuple(dict.fromkeys((plan.settings.cache_type_k, plan.settings.cache_type_v)))


def _explained(plan: Plan) -> Iterator[Prose]:
    for part in (_why, _levers, _instead, _assumed, _sources):
        yield from part(plan)


def _why(plan: Plan) -> Iterator[Prose]:
    """The reason for the placement, in one sentence."""
    chosen = [reason for reason in plan.reasons if reason.verdict is ReasonVerdict.CHOSEN]
    if found := next((reason for reason in chosen if reason.subject == plan.strategy), None):
        yield Prose(found.statement, label="Why")


def _levers(plan: Plan) -> Iterator[Prose]:
    """What else to ask for, and what that gains."""
    before = digits(plan.prediction.request_seconds.value)
    n_pools = sum(bool(pool.used) for pool in plan.footprint.pools)
    for index, lever in enumerate(plan.levers[: 1 if n_pools > _MANY_POOLS else _FEW]):
        rates = f"{digits(lever.decode_tokens_per_second.value)} tokens/s"
        if plan.prediction.prompt_terms:
            rates += f", prompt {digits(lever.prompt_tokens_per_second.value)}"
        gain = f"{digits(lever.request_seconds.value)} s, not {before} ({rates})"
        yield Prose((Toned(_pulled(lever), Hue.COMMAND), f": {gain}"), label="" if index else "Faster")


def _pulled(lever: Lever) -> str:
    if lever.field == QUANT:
        return f"as {lever.value}, {gib(lever.tensor_bytes)}"
    return f"{OPTIONS[lever.field]} {lever.value}"


def _instead(plan: Plan) -> Iterator[Prose]:
    """That --fit does as well, where it does and nothing would be faster."""
    if (found := plan.fit_instead) and not plan.levers:
        yield Prose(f"--fit does as well: {digits(found.prediction.request_seconds.value)} s", label="Or")


def _assumptions(plan: Plan) -> tuple[str, ...]:
    said = (f"{item.subject}: {item.statement}" for item in plan.assumptions)
    return (*said, *plan.prediction.assumptions)


def _assumed(plan: Plan) -> Iterator[Prose]:
    """What was taken for true, the first of it."""
    first, *others = _assumptions(plan) or ("",)
    if first:
        yield Prose(f"{first}{f' (and {len(others)} more)' if others else ''}", label="Assumed")


def _sources(plan: Plan) -> Iterator[Prose]:
    """Where the figures come from: measured, modelled or assumed."""
    build = plan.footprint.build
    simulated = f"bytes: {build.priced} simulated"
    if build.asked != build.priced:
        simulated += f", nearest to {build.asked}"
    used = [share for name, share in plan.footprint.process.items() if plan.footprint.buffers.get(name)]
    kinds = ["measured" if share.is_measured else "assumed" for share in used]
    driver = [f"driver: {' and '.join(dict.fromkeys(kinds))}"] if kinds else []
    text = "; ".join((simulated, f"speed: {plan.prediction.decode_tokens_per_second.basis}", *driver))
    yield Prose(Toned(text, Hue.QUIET), label="From")


def margin_table(margins: Sequence[Margin]) -> Tabular:
    """What is kept of every pool for what."""
    names = ("free before", "plan", "driver / prompt cache", "growth", "spare", "stays free")
    rows = [
        (
            margin.pool,
            *map(mib, (margin.capacity, margin.used, margin.context, margin.growth, margin.left)),
            f"{margin.free_fraction:.0%}",
        )
        for margin in margins
    ]
    return Tabular([Heading("headroom", is_left=True), *map(Heading, names)], rows)


def _reasons(reasons: Sequence[Reason]) -> Iterator[Prose]:
    """One a reason, rejections marked, each with its source."""
    for reason in reasons:
        prefix = "not " if reason.verdict is ReasonVerdict.REJECTED else ""
        source = Toned(f" [{reason.source}]", Hue.QUIET)
        yield Prose((f"- {prefix}{reason.subject}: {reason.statement}", source), hang=2)

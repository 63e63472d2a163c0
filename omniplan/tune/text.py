"""A tuning as a screen: the command that won, what it gains, and the table of runs."""

from __future__ import annotations

from collections.abc import Iterator

from omniplan.text.argv import server_words
from omniplan.text.palette import Hue
from omniplan.text.screen import Block, Heading, Passage, Prose, Screen, ShellCommand, Tabular, Toned
from omniplan.tune.session import Tuned

# Terms that were off by less are as predicted.
_AS_PREDICTED = 0.1


def tuned_screen(tuned: Tuned, model: str) -> Screen:
    """The answer first, then what was run and what it taught."""
    programs = dict.fromkeys(f"{run.program} {run.server}".strip() for run in tuned.runs if not run.failure)
    by = f", by {' and '.join(programs)}" if programs else ""
    ended = f"Ended: {tuned.ended}; {len(tuned.runs)} run(s) of {len(tuned.plans)} plans that fit{by}."
    best = tuned.best
    if best is None:
        answer: list[Block] = [Prose(Toned(f"No plan ran: {tuned.ended}", Hue.BAD), hang=2)]
    else:
        answer = [ShellCommand(server_words(model, best.server_args, best.llama_cpp), best.environment)]
    said = [Prose(line, hang=2) for line in (*([_gained(tuned)] if best else []), ended)]
    return Screen(
        (
            Passage(answer),
            Passage(said),
            Passage(list(_runs(tuned))),
            Passage([Prose(line, hang=2) for line in _learned(tuned)], title="Learned, times as predicted:"),
        )
    )


def _gained(tuned: Tuned) -> str:
    assert tuned.best is not None
    took, first = tuned.seconds(tuned.best), tuned.seconds(tuned.first)
    said = (
        f"Measured: {took:.3g} s for a request of {tuned.best.request.n_prompt:,} + {tuned.best.request.n_gen:,} tokens"
    )
    if took and first and tuned.best.server_args != tuned.first.server_args:
        return f"{said}, {1 - took / first:.1%} less than the plan before any run ({first:.3g} s)."
    return f"{said}: the plan before any run was the best."


def _runs(tuned: Tuned) -> Iterator[Block]:
    rows = []
    by_args = {plan.server_args: plan for plan in tuned.plans}
    for number, run in enumerate(tuned.runs, 1):
        plan = by_args.get(run.args)
        if plan is None:
            continue
        request, predicted = plan.request, plan.prediction.request_seconds.value
        measured = f"{run.prompt_seconds + request.n_gen * run.token_seconds:.3g}" if not run.failure else "failed"
        rows.append((str(number), measured, f"{predicted:.3g}", _differs(run.args, tuned.first.server_args)))
    if rows:
        differs = Heading("differs from the plan by", is_prose=True)
        yield Tabular([Heading("run"), Heading("measured s"), Heading("predicted s"), differs], rows)
    for number, run in enumerate(tuned.runs, 1):
        if run.failure:
            yield Prose(Toned(f"run {number} failed: {run.failure}", Hue.BAD), hang=2)
        yield from (Prose(f"run {number} is less certain: {line}", hang=2) for line in run.disturbances)


def _differs(args: tuple[str, ...], first: tuple[str, ...]) -> str:
    own = [word for word in args if word not in first]
    missing = [word for word in first if word not in args]
    return " ".join(own or ["without", *missing] if missing or own else ["nothing"])


def _learned(tuned: Tuned) -> Iterator[str]:
    off = {term: factor for term, factor in tuned.state.factors.items() if abs(factor - 1) > _AS_PREDICTED}
    if off and any(not run.failure for run in tuned.runs):
        for (phase, cause), factor in sorted(off.items(), key=lambda item: -abs(item[1] - 1)):
            yield f"- {phase}, {cause}: x {factor:.2f}"

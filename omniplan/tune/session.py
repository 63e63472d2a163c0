"""A tuning from start to end: propose, measure, learn, and stop when the budget or what is left to gain is used up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from omniplan.domain.plan import Plan
from omniplan.predict.calibrate import MeasuredSpeed
from omniplan.predict.learned import Learned
from omniplan.tune.choice import ENOUGH, MOST_RUNS, State, TunedRun, consider
from omniplan.tune.journal import Journal, Subject, alone

Runner = Callable[[Plan], TunedRun]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What a tuning found: the best plan that ran, every plan it chose from, the runs, and why it ended.

    ``first`` is what would have been run without tuning; ``learned`` the calibration that the runs make, which later
    plans on the machine take, and ``untaught`` why there is none.
    """

    best: Plan | None
    first: Plan
    plans: tuple[Plan, ...]
    runs: tuple[TunedRun, ...]
    state: State
    ended: str
    learned: Learned | None = None
    untaught: str = ""

    def seconds(self, plan: Plan) -> float | None:
        """TunedRun seconds of the request; None where it did not run."""
        found = [run for run in self.runs if run.args == plan.server_args and not run.failure]
        if not found:
            return None
        return min(run.prompt_seconds + plan.request.n_gen * run.token_seconds for run in found)


def tune(
    plans: Sequence[Plan],
    runner: Runner,
    journal: Path,
    *,
    budget: float,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
) -> Tuned:
    """Measure those of ``plans`` that could still win, at most a dozen, within ``budget`` seconds.

    ``journal`` keeps every run; one that is there is not run again. A run is not begun that is expected to end after
    the budget. KeyboardInterrupt ends the tuning and keeps what is known.
    """
    started = clock()
    with alone(journal):
        book = Journal(journal, Subject.of(plans[0]))
        longest, ended = 0.0, ""
        while not ended:
            state = consider(plans, book.runs)
            if ended := _ended(state, len(book.runs), clock() - started + longest, budget):
                break
            assert state.following is not None
            say(f"run {len(book.runs) + 1}: {expected(state)}")
            begun = clock()
            try:
                book.add(runner(state.following))
            except KeyboardInterrupt:
                ended = "interrupted; the same command goes on"
            longest = max(longest, clock() - begun)
    state = consider(plans, book.runs)
    return Tuned(best=state.best, first=plans[0], plans=tuple(plans), runs=tuple(book.runs), state=state, ended=ended)


def expected(state: State) -> str:
    """What a run is for."""
    assert state.following is not None
    if state.best is None:
        return "the plan itself"
    return f"could save {state.gain:.1%} of the request's time"


def _ended(state: State, n_runs: int, after: float, budget: float) -> str:
    """Why no further run is begun; "" where one is."""
    if state.following is None:
        return f"no other plan is expected to save over {ENOUGH:.1%}" if state.best else "no plan is left to run"
    if n_runs >= MOST_RUNS:
        return f"{MOST_RUNS} runs are made"
    # Of a first run nobody knows how long it takes.
    return f"the budget of {budget / 60:.0f} min ends before another run would" if n_runs and after > budget else ""


def speeds(tuned: Tuned) -> list[MeasuredSpeed]:
    """The runs as ``calibrate`` takes them, a prompt and an answer each; disturbed ones only where all are."""
    by_args = {plan.server_args: plan for plan in tuned.plans}
    ran = [(number, run) for number, run in enumerate(tuned.runs, 1) if run.args in by_args and not run.failure]
    found = []
    for number, run in [item for item in ran if not item[1].disturbances] or ran:
        plan = by_args[run.args]
        request = plan.request
        prompt = request.n_prompt / run.prompt_seconds if run.prompt_seconds else 0.0
        decode = 1 / run.token_seconds if run.token_seconds else 0.0
        for label, n_prompt, n_gen, depth, rate in (
            ("prompt", request.n_prompt, 0, 0, prompt),
            ("decode", 0, request.n_gen, request.n_prompt, decode),
        ):
            if rate and n_prompt + n_gen:
                found.append(
                    MeasuredSpeed(
                        label=f"{label} of run {number}",
                        args=run.args,
                        environment=plan.environment,
                        n_prompt=n_prompt,
                        n_gen=n_gen,
                        depth=depth,
                        rate=rate,
                    )
                )
    return found

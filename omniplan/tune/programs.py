"""Which program measures a plan: llama-bench where one is named and has words for it, else llama-server."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace

from omniplan import system
from omniplan.bench.protocol import ServerStart
from omniplan.domain.plan import Plan
from omniplan.domain.progress import Progress
from omniplan.errors import InputError
from omniplan.tune import llama_bench, measure
from omniplan.tune.choice import TunedRun
from omniplan.tune.session import Runner


def measurable(plans: Sequence[Plan], server: str, bench: str, say: Callable[[str], None]) -> tuple[Plan, ...]:
    """Those of ``plans`` that the programs at hand can measure; ``say`` is told which have no words in ``bench``.

    Raises InputError where there are none.
    """
    unsaid = {plan.server_args: why for plan in plans if bench and (why := llama_bench.unsayable(plan))}
    if not unsaid:
        return tuple(plans)
    reasons = "; ".join(dict.fromkeys(unsaid.values()))
    if shutil.which(next(iter(system.words(server)), "")):
        say(f"note: {len(unsaid)} of {len(plans)} plans are measured with {server}: {reasons}")
        return tuple(plans)
    left = tuple(plan for plan in plans if plan.server_args not in unsaid)
    if not left:
        raise InputError(f"{reasons}; and there is no {server}", field="bench", value=bench)
    say(f"note: {len(unsaid)} of {len(plans)} plans are left out: {reasons}; and there is no {server}")
    return left


def runner_of(start: ServerStart, bench: str, progress: Progress) -> Runner:
    """What measures a plan, started as ``start`` says."""

    def run(plan: Plan) -> TunedRun:
        started = replace(start, plan=plan)
        if bench and not llama_bench.unsayable(plan):
            return llama_bench.run(started, bench, progress)
        return measure.run(started, progress)

    return run

"""The runs of a tuning as measurements that may be given away."""

from __future__ import annotations

from collections.abc import Iterator

from omniplan.bench.measurement import measured_rate, measurement
from omniplan.domain.measurement import Measurement
from omniplan.domain.plan import Plan
from omniplan.tune.choice import TunedRun
from omniplan.tune.session import Tuned


def measurements(tuned: Tuned) -> Iterator[Measurement]:
    """One for every run that did not fail; raises InputError where a speed depends on what may not be given away."""
    by_args = {plan.server_args: plan for plan in tuned.plans}
    for run in tuned.runs:
        if run.args in by_args and not run.failure and (run.prompt_seconds or run.token_seconds):
            yield _measurement(run, by_args[run.args])


def _measurement(run: TunedRun, plan: Plan) -> Measurement:
    request = plan.request
    prompt, decode = run.prompt_seconds, run.token_seconds
    return measurement(
        plan,
        program=run.program,
        server=run.server,
        date=run.date,
        n_prompt=request.n_prompt,
        n_gen=request.n_gen,
        prompt=measured_rate(request.n_prompt / prompt, run.scatter, run.n_runs) if prompt else None,
        decode=measured_rate(1 / decode, run.scatter, run.n_runs) if decode else None,
        is_disturbed=bool(run.disturbances),
    )

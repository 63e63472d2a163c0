"""What ran, as a measurement that may be given away."""

from __future__ import annotations

import re

from omniplan.bench.values import BenchReport, Summary
from omniplan.documents.frozen import FrozenMapping
from omniplan.domain.measurement import MeasuredRate, Measurement
from omniplan.domain.plan import Plan
from omniplan.errors import InputError
from omniplan.llamacpp.flags.write import write
from omniplan.predict.measured import hardware_of, model_of_plan, recorded
from omniplan.version import __version__


def measurement(
    plan: Plan,
    *,
    program: str,
    server: str,
    date: str,
    n_prompt: int,
    n_gen: int,
    prompt: MeasuredRate | None,
    decode: MeasuredRate | None,
    is_disturbed: bool,
) -> Measurement:
    """A run of ``plan``; ``server`` is the build as it calls itself.

    Raises InputError where its speed depends on what may not be given away.
    """
    params = recorded(plan)
    build = re.match(r"b[1-9]\d{0,5}", server)
    return Measurement(
        version=__version__,
        date=date,
        program=program,
        llama_cpp=build[0] if build else "",
        model=model_of_plan(plan),
        machine=hardware_of(plan.machine),
        args=write(params),
        environment=FrozenMapping(params.env),
        splits=plan.footprint.graph_splits,
        n_prompt=n_prompt,
        n_gen=n_gen,
        prompt=prompt,
        decode=decode,
        is_disturbed=is_disturbed,
    )


def of_report(report: BenchReport, plan: Plan) -> Measurement:
    """The longest prompts of a benchmark whose server was started with the plan's arguments.

    Raises InputError where it has no speed, or one that depends on what may not be given away.
    """
    rows = [row for row in report.rows if row.n_prompt and row.decode_tokens_per_second]
    if not rows:
        raise InputError("not kept as a measurement: it has no speed; measure again with answers")
    row = max(rows, key=lambda row: (row.n_prompt or 0, row.streaming))
    return measurement(
        plan,
        program="llama-server",
        server=report.server,
        date=report.date[:10],
        n_prompt=row.n_prompt or 0,
        n_gen=row.n_gen or report.n_gen,
        prompt=_rate(row.prompt_tokens_per_second),
        decode=_rate(row.decode_tokens_per_second),
        is_disturbed=bool(report.disturbances),
    )


def _rate(figure: Summary | None) -> MeasuredRate | None:
    if figure is None or figure.mean <= 0:
        return None
    return measured_rate(figure.mean, figure.deviation / figure.mean, figure.n)


def measured_rate(value: float, scatter: float, n_runs: int) -> MeasuredRate:
    """A rate to five digits, and its scatter to three."""
    return MeasuredRate(value=float(f"{value:.5g}"), scatter=float(f"{scatter:.3g}"), n_runs=n_runs)

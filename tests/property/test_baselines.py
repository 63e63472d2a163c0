"""On any machine: a plan is never clearly slower than a baseline that fits, nor slower than a simpler one."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import assume, given
from hypothesis import strategies as st

import omniplan
from omniplan.api import predict
from omniplan.api.documents import parse_plan
from omniplan.domain.machine import Machine
from omniplan.domain.prediction import Objective
from omniplan.domain.request import Request
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.flags.overrides import cpu_moe
from omniplan.llamacpp.ggml.buffers import is_host
from omniplan.planning.solution import MORE_GPUS
from omniplan.planning.timing import seconds
from omniplan.predict.accuracy import comparison_error
from tests.oracle import cases
from tests.property.strategies import examples, machines, names, requests


def simplicity(priced: omniplan.Footprint, args: Sequence[str]) -> tuple[int, int]:
    """GPUs in use, and patterns that somebody has to read."""
    on_gpus = [size for name, size in priced.buffers.items() if not is_host(name)]
    params = parse(args)
    return (
        sum(bool(size.model or size.context) for size in on_gpus),
        sum(override not in cpu_moe() for override in params.overrides),
    )


@examples(6)
@given(name=names(), machine=machines(), asked=requests(), objective=st.sampled_from(Objective))
def test_never_slower_than_a_baseline(name: str, machine: Machine, asked: Request, objective: Objective) -> None:
    """Priced and predicted again from its arguments alone, it is what it says."""
    model = cases.model(name)
    try:
        plan = omniplan.plan(model, machine, asked, objective=objective, baselines=True)
    except omniplan.Infeasible:
        plan = None
    assume(plan is not None)
    assert plan is not None

    took = seconds(plan.prediction, objective)
    known = plan.baselines.values()
    assert "fit" in plan.baselines
    for other in known:
        if other.fits and other.is_allowed and seconds(other.prediction, objective) < took:
            # Simpler, and as fast as anybody can tell.
            error = max(MORE_GPUS, comparison_error(objective, plan.prediction, other.prediction))
            assert (1 - error) * took <= seconds(other.prediction, objective)
            assert simplicity(omniplan.footprint(model, machine, other.args), other.args) > simplicity(
                plan.footprint, plan.server_args
            )
    assert all(margin.left >= 0 for margin in plan.margins)
    assert omniplan.footprint(model, machine, plan.server_args) == plan.footprint
    assert predict(model, machine, plan.server_args) == plan.prediction
    assert parse_plan(plan.to_json()) == plan

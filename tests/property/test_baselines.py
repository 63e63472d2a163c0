"""On any machine: with baselines a plan is never predicted slower than one that fits, and keeps its headroom."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

import omniplan
from omniplan.api import predict
from omniplan.api.documents import parse_plan
from omniplan.domain.machine import Machine
from omniplan.domain.prediction import Objective
from omniplan.domain.request import Request
from omniplan.planning.timing import seconds
from tests.oracle import cases
from tests.property.strategies import examples, machines, names, requests


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
    assert all(took <= seconds(other.prediction, objective) for other in known if other.fits and other.is_allowed)
    assert all(margin.left >= 0 for margin in plan.margins)
    assert omniplan.footprint(model, machine, plan.server_args) == plan.footprint
    assert predict(model, machine, plan.server_args) == plan.prediction
    assert parse_plan(plan.to_json()) == plan

"""Where --fit does as well as a plan, the plan carries its command, and that command does what is said of it."""

from __future__ import annotations

import pytest

import omniplan
from omniplan.api import predict
from omniplan.api.documents import parse_plan
from omniplan.planning.text_plan import plan_screen
from omniplan.predict.accuracy import comparison_error
from tests.oracle import cases
from tests.screens import everything

GLM = "GLM-4.7-Flash-Q8_0"


@pytest.mark.parametrize(
    ("name", "machine", "n_ctx"),
    [(GLM, "dual-4090-5070ti", 32768), (GLM, "single-3090", 16384), ("DeepSeek-R1-Q4_K_M", "omni-nps1", 16384)],
)
def test_the_command_is_fit_s_and_keeps_the_headroom(name: str, machine: str, n_ctx: int) -> None:
    """--fit, run on the command, chooses the layout that is priced; it keeps the margins and is as fast as it says."""
    known, model = omniplan.load_machine(machine), cases.model(name)
    plan = omniplan.plan(model, known, n_ctx=n_ctx)
    offer = plan.fit_instead
    assert offer is not None
    args = list(offer.args)
    chosen = omniplan.fit(model, known, args)
    fitted = [*args, *chosen.args]

    assert args[args.index("--fit") + 1] == "on"
    assert offer.footprint.layers == omniplan.footprint(model, known, fitted).layers
    assert offer.footprint.buffers == omniplan.footprint(model, known, fitted).buffers
    assert min(margin.left for margin in offer.margins) >= 0
    assert offer.prediction == predict(model, known, offer.chosen)
    error = comparison_error(plan.request.objective, plan.prediction, offer.prediction)
    assert plan.prediction.request_seconds.value >= (1 - error) * offer.prediction.request_seconds.value
    assert "--fit on" in everything(plan_screen(plan))
    assert parse_plan(plan.to_json()) == plan


def test_no_offer_where_the_plan_is_clearly_better() -> None:
    """And none where the plan's own words compare it."""
    machine = omniplan.load_machine("single-3090")
    plan = omniplan.plan(cases.model("Mixtral-8x7B-Q4_K_M"), machine, n_ctx=8192, objective=omniplan.Objective.DECODE)
    theirs = plan.baselines.get("fit, plan's settings", plan.baselines["fit"]).prediction
    gain = 1 - sum(plan.prediction.terms.values()) / sum(theirs.terms.values())

    assert (plan.fit_instead is None) is (gain > comparison_error(plan.request.objective, plan.prediction, theirs))
    assert next(reason.statement for reason in plan.reasons if reason.subject == "--fit").startswith("predicted ")


def test_no_offer_without_baselines() -> None:
    """Nothing was compared, so nothing is said."""
    plan = omniplan.plan(cases.model(GLM), omniplan.load_machine("h100"), n_ctx=4096, baselines=False)

    assert plan.fit_instead is None
    assert not [reason for reason in plan.reasons if reason.subject == "--fit"]

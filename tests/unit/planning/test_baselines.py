"""A plan carries what one would do without it, and is never predicted slower than what fits of that."""

from __future__ import annotations

import pytest

import omniplan
from omniplan import Objective
from omniplan.api import predict
from omniplan.api.documents import parse_plan
from omniplan.llamacpp.flags.args import parse
from omniplan.planning.solution import MORE_GPUS
from omniplan.planning.text_plan import plan_screen
from omniplan.predict.accuracy import comparison_error
from tests.oracle import cases
from tests.screens import everything

GLM = "GLM-4.7-Flash-Q8_0"
CASES = [
    (GLM, "dual-4090-5070ti", 32768),
    (GLM, "quad-3090", 131072),
    (GLM, "single-3090", 32768),
    (GLM, "cpu-only", 4096),
    ("gpt-oss-20b-MXFP4_MOE", "quad-3090", 131072),
    ("Llama-3.1-8B-Q4_K_M", "dual-4090-5070ti", 131072),
    ("Llama-3.1-8B-Q4_K_M", "single-3090", 524288),
]


@pytest.mark.parametrize("objective", Objective)
@pytest.mark.parametrize(("name", "machine", "n_ctx"), CASES)
def test_never_clearly_slower_than_a_baseline(name: str, machine: str, n_ctx: int, objective: Objective) -> None:
    """By the plan's own objective; its headroom is kept whoever's layout it is."""
    known = omniplan.load_machine(machine)
    try:
        plan = omniplan.plan(cases.model(name), known, n_ctx=n_ctx, objective=objective, baselines=True)
    except omniplan.Infeasible:
        pytest.skip("nothing fits")

    assert min(margin.left for margin in plan.margins) >= 0
    for baseline in plan.baselines.values():
        if baseline.fits:
            error = max(MORE_GPUS, comparison_error(objective, plan.prediction, baseline.prediction))
            assert (1 - error) * taken(plan.prediction, objective) <= taken(baseline.prediction, objective)


def test_one_gpu_is_kept_where_two_gain_less_than_the_error() -> None:
    """gpt-oss-120b fits one card of 96 GB; --fit's two are predicted 4 % faster, which nobody could tell."""
    machine = omniplan.load_machine("omni-nps1")
    plan = omniplan.plan(cases.model("gpt-oss-120b-MXFP4_MOE"), machine, n_ctx=131072)

    assert plan.strategy == "single GPU"
    assert taken(plan.baselines["fit"].prediction, Objective.REQUEST) < taken(plan.prediction, Objective.REQUEST)
    assert "the simpler one of 1 GPU(s)" in " ".join(reason.statement for reason in plan.reasons)


def taken(prediction: omniplan.Prediction, objective: Objective) -> float:
    """Seconds of what is asked about."""
    if objective is Objective.REQUEST:
        return prediction.request_seconds.value
    return sum((prediction.terms if objective is Objective.DECODE else prediction.prompt_terms).values())


def test_baselines_are_command_lines() -> None:
    """Each says its placement outright, prices the same again, and survives JSON."""
    machine = omniplan.load_machine("dual-4090-5070ti")
    model = cases.model(GLM)
    plan = omniplan.plan(model, machine, n_ctx=32768, baselines=True)

    assert {"fit", "all layers", "cpu-moe", "nominal split"} <= set(plan.baselines)
    for baseline in plan.baselines.values():
        assert baseline.args[baseline.args.index("--fit") + 1] == "off"
        assert baseline.loads is omniplan.footprint(model, machine, baseline.args).fits
        assert predict(model, machine, baseline.args) == baseline.prediction
    assert predict(model, machine, plan.server_args) == plan.prediction
    assert parse_plan(plan.to_json()) == plan
    assert "nominal split" in everything(plan_screen(plan))


def test_no_baselines_when_not_wanted() -> None:
    """They cost a run of --fit, so a caller who plans in a loop may do without."""
    machine = omniplan.load_machine("quad-3090")

    assert not omniplan.plan(cases.model(GLM), machine, n_ctx=4096, baselines=False).baselines


def test_fit_pinned_is_fit() -> None:
    """The baseline's layers are those that --fit's own arguments give, without its pattern for the output.

    --fit counts the output as a layer behind the last: here blk.47, which no tensor is of.
    """
    machine, model = omniplan.load_machine("dual-4090-5070ti"), cases.model(GLM)
    asked = ["-c", "131072", "-np", "1"]
    plan = omniplan.plan(model, machine, n_ctx=131072, baselines=True)
    chosen = omniplan.fit(model, machine, asked)

    assert (
        omniplan.footprint(model, machine, [*asked, *chosen.args]).layers
        == omniplan.footprint(model, machine, plan.baselines["fit"].args).layers
    )
    patterns = {item.pattern for item in parse(plan.baselines["fit"].args).overrides}
    assert {item.pattern for item in chosen.overrides} - patterns == {r"blk\.47\.ffn_(up|down|gate_up|gate)_(ch|)exps"}

"""``--ubatch auto`` finds what planning with every size by hand would find."""

from __future__ import annotations

import pytest

import omniplan
from omniplan import Objective
from omniplan.cli.main import main
from omniplan.planning.microbatch import SIZES
from tests.contracts.sources import ROOT
from tests.oracle import cases

CASES = [
    ("gpt-oss-120b-MXFP4_MOE", "single-3090", Objective.REQUEST),
    ("GLM-4.7-Flash-Q8_0", "dual-4090-5070ti", Objective.PROMPT),
]


@pytest.mark.parametrize(("name", "machine", "objective"), CASES)
def test_auto_is_the_best_by_hand(name: str, machine: str, objective: Objective) -> None:
    """Its estimates leave out no size that is more than 2 % faster; headroom is kept and the choice explained."""
    known, model = omniplan.load_machine(machine), cases.model(name)
    found = omniplan.plan(model, known, n_ctx=32768, n_ubatch=None, objective=objective, baselines=False)
    by_hand = []
    for size in SIZES:
        try:
            by_hand.append(
                omniplan.plan(model, known, n_ctx=32768, n_ubatch=size, objective=objective, baselines=False)
            )
        except omniplan.Infeasible:
            continue

    assert seconds(found, objective) <= 1.02 * min(seconds(plan, objective) for plan in by_hand)
    assert min(margin.left for margin in found.margins) >= 0
    assert found.server_args[found.server_args.index("-ub") + 1] == str(found.settings.n_ubatch)
    assert [reason.subject for reason in found.reasons if reason.subject.startswith("-ub ")] == [
        f"-ub {found.settings.n_ubatch}"
    ]


def seconds(plan: omniplan.Plan, objective: Objective) -> float:
    """What the plan was asked to keep short."""
    if objective is Objective.PROMPT:
        return sum(plan.prediction.prompt_terms.values())
    return plan.prediction.request_seconds.value


def test_a_smaller_one_where_512_does_not_fit() -> None:
    """Less room for compute may be what makes a plan possible; where it is not, the refusal stands."""
    machine = omniplan.load_machine("single-3090")
    found = omniplan.plan(cases.model("Llama-3.3-70B-Q4_K_M"), machine, n_ctx=131072, n_ubatch=None, baselines=False)

    assert found.settings.n_ubatch == 256
    with pytest.raises(omniplan.Infeasible):
        omniplan.plan(cases.model("DeepSeek-R1-Q4_K_M"), machine, n_ctx=8192, n_ubatch=None, baselines=False)


def test_auto_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A number or auto, nothing else."""
    here = ["plan", str(ROOT / "data/models/GLM-4.7-Flash-Q8_0.gguf"), "--machine", "single-3090", "--ctx", "8192"]

    assert main([*here, "--ubatch", "auto"]) == 0
    assert "-ub " in capsys.readouterr().out
    assert main([*here, "--ubatch", "many"]) == 2

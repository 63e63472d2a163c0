"""``--ubatch auto`` finds what planning with every size by hand would find."""

from __future__ import annotations

from dataclasses import replace

import pytest

import omniplan
from omniplan import Objective, Request
from omniplan.cli.main import main
from omniplan.planning.ladder import Ladder
from omniplan.planning.microbatch import SIZES
from omniplan.planning.planner import solve
from omniplan.planning.problem import Problem
from tests.contracts.sources import ROOT
from tests.oracle import cases

CASES = [
    ("gpt-oss-120b-MXFP4_MOE", "single-3090", Request(n_ctx=32768)),
    ("gpt-oss-120b-MXFP4_MOE", "quad-3090", Request(n_ctx=32768, n_prompt=16384)),
    ("GLM-4.7-Flash-Q8_0", "dual-4090-5070ti", Request(n_ctx=32768, objective=Objective.PROMPT)),
    ("GLM-4.7-Flash-Q8_0", "single-3090", Request(n_ctx=32768, n_prompt=128, n_gen=1024)),
    ("DeepSeek-R1-Q4_K_M", "omni-nps1", Request(n_ctx=32768, n_prompt=16384)),
    # A smaller one that overlaps over more GPUs; one that leaves a layer less on the CPU; one that makes two GPUs one.
    ("Mixtral-8x7B-Q4_K_M", "quad-3090", Request(n_ctx=32768)),
    ("Llama-3.3-70B-Q4_K_M", "dual-4090-5070ti", Request(n_ctx=32768, n_prompt=128, n_gen=1024)),
    ("Qwen3-30B-A3B-Q4_K_M", "dual-4090-5070ti", Request(n_ctx=32768, n_prompt=16384, n_gen=512)),
]


@pytest.mark.parametrize(("name", "machine", "request_"), CASES)
def test_auto_is_the_best_by_hand(name: str, machine: str, request_: Request) -> None:
    """No micro-batch, with op offload or without, is more than 1 % faster; the choice is explained."""
    known, model = omniplan.load_machine(machine), cases.model(name)
    free = replace(request_, n_ubatch=None, baselines=False)
    solved = solve(model, known, free)
    usual, by_hand = solved.problem.settings, []
    for size in SIZES:
        for op_offload in (True, False):
            settings = replace(usual, n_ubatch=size, op_offload=op_offload)
            found = Ladder(Problem(model, known, free, settings)).climb()
            by_hand += [found.seconds] if found else []

    assert solved.solution.seconds <= 1.01 * min(by_hand)
    assert not solved.solution.missing
    assert any(reason.subject.startswith(f"-ub {usual.n_ubatch}") for reason in solved.reporter.notes)


def test_a_plan_says_what_another_micro_batch_would_gain() -> None:
    """Where it is clear, and what it says is what the plan with that micro-batch takes; nothing where nothing gains."""
    model, machine = cases.model("DeepSeek-R1-Q4_K_M"), omniplan.load_machine("omni-nps1")
    plan = omniplan.plan(model, machine, n_ctx=32768, n_prompt=16384)
    told = [lever for lever in plan.levers if lever.field == "n_ubatch"]
    other = omniplan.plan(model, machine, n_ctx=32768, n_prompt=16384, n_ubatch=8192, baselines=False)

    assert [(lever.value, lever.request_seconds) for lever in told] == [("8192", other.prediction.request_seconds)]
    best = omniplan.plan(model, machine, n_ctx=32768, n_prompt=16384, n_ubatch=8192)
    assert not any(lever.field == "n_ubatch" for lever in best.levers)


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

"""What the machine adds to a plan: NUMA advice with its measurement, threads, and GPUs pinned by identity."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import omniplan
from omniplan.api.documents import parse_plan
from omniplan.cli.main import main
from omniplan.domain.plan import Plan

MODEL = Path(__file__).parents[3] / "data/models/DeepSeek-R1-Q4_K_M.gguf"


@cache
def plan_on(machine: str) -> Plan:
    """A plan whose experts stream from RAM."""
    return omniplan.plan(MODEL, omniplan.load_machine(machine), n_ctx=8192, baselines=False)


def test_nps4_is_warned_and_nps1_is_not() -> None:
    """The same board in NPS4 read weights at half the speed (diary: 5.2 against 10.9 tok/s)."""
    subjects = {
        machine: {reason.subject for reason in plan_on(machine).reasons} for machine in ("omni-nps1", "omni-nps4")
    }

    assert "nps-streaming" in subjects["omni-nps4"]
    assert "nps-streaming" not in subjects["omni-nps1"]
    assert "nps-one" in subjects["omni-nps1"]


def test_explain_cites_the_measurement(tmp_path: Path) -> None:
    """A saved plan still names the figures behind its advice."""
    warning = next(reason for reason in plan_on("omni-nps4").reasons if reason.subject == "nps-streaming")
    file = tmp_path / "plan.json"
    file.write_text(plan_on("omni-nps4").to_json())

    assert "5.2 tok/s in NPS4, 10.9 in NPS1" in warning.statement
    assert main(["explain", str(file)]) == 0


def test_threads_follow_the_cores() -> None:
    """Decoding saturates at 64 threads per socket; prompts use all 96 cores; hardware threads stay idle."""
    args = plan_on("omni-nps1").server_args

    assert ("64", "96") == (args[args.index("-t") + 1], args[args.index("-tb") + 1])


def test_a_model_on_the_gpu_needs_no_threads() -> None:
    """Nothing streams from RAM, so nothing is said about it."""
    small = omniplan.plan(
        MODEL.with_name("GLM-4.7-Flash-Q8_0.gguf"), omniplan.load_machine("h100"), n_ctx=8192, baselines=False
    )

    assert "-t" not in small.server_args


def test_gpus_are_pinned_by_uuid() -> None:
    """With two GPUs the order matters; UUIDs say it, and survive JSON."""
    machine = omniplan.load_machine("omni-nps1")
    gpus = tuple(replace(gpu, uuid=f"GPU-{index}") for index, gpu in enumerate(machine.gpus))

    plan = omniplan.plan(MODEL, replace(machine, gpus=gpus), n_ctx=8192, baselines=False)

    assert "GPU-0,GPU-1" == plan.environment["CUDA_VISIBLE_DEVICES"]
    assert plan == parse_plan(plan.to_json())

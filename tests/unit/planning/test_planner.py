"""The ladder's edges: what is refused at once, what stays in RAM, and what a refusal recommends."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

import omniplan
from omniplan.cli.main import main
from omniplan.cli.said import said
from omniplan.domain.machine import Gpu, Machine, Memory
from omniplan.units import GIB, MIB
from tests.oracle import cases

ASKED = omniplan.Request(n_ctx=32768, baselines=False)


def machine(*free_mib: int, ram: int | None = 64) -> Machine:
    """GPUs with so many MiB free each, and RAM in GiB."""
    gpus = tuple(
        Gpu(name=f"CUDA{i}", description="", total=free * MIB, free=free * MIB, compute_capability="8.9")
        for i, free in enumerate(free_mib)
    )
    return Machine(name="small", gpus=gpus, memory=None if ram is None else Memory(total=ram * GIB))


def chosen(plan: omniplan.Plan) -> str:
    """What the plan says about its strategy."""
    return next(reason.statement for reason in plan.reasons if reason.subject == plan.strategy)


@pytest.mark.parametrize(
    ("request_", "says"),
    [({"n_ctx": 0}, "n_ctx 0"), ({"n_parallel": -1}, "n_parallel -1"), ({"n_ubatch": 0}, "n_ubatch 0")],
)
def test_a_count_below_one_is_refused(request_: dict[str, Any], says: str) -> None:
    """llama.cpp gives 0 and -1 meanings of its own, which a plan would not say aloud."""
    with pytest.raises(omniplan.InputError, match=f"^{says}: expected at least 1"):
        omniplan.plan(cases.model("Qwen3-0.6B-Q8_0"), machine(8000), **request_)


@pytest.mark.parametrize(
    ("free", "why"), [((), "the machine has no GPU"), ((100, 300), "the GPUs hold no layer after headroom")]
)
def test_a_small_model_runs_in_ram(free: tuple[int, ...], why: str) -> None:
    """GPUs that hold nothing are no reason to refuse, and take no part."""
    plan = omniplan.plan(cases.model("Qwen3-0.6B-Q8_0"), machine(*free), n_ctx=4096, baselines=False)

    assert plan.strategy == "CPU only"
    assert chosen(plan) == f"everything stays in RAM: {why}"
    assert set(plan.footprint.layers) == {"CPU"}
    assert [pool.used for pool in plan.footprint.pools[:-1]] == [0] * len(free)


def test_whole_layers_in_ram_are_told() -> None:
    """A plan that leaves layers in RAM does not claim that all weights are in VRAM."""
    plan = omniplan.plan(cases.model("Mamba-Codestral-7B-Q4_K_M"), machine(3000), n_ctx=4096, baselines=False)
    count = plan.footprint.layers.count("CPU")

    assert plan.strategy == "single GPU, leading layers on CPU"
    assert chosen(plan).startswith(f"layers 0 to {count - 1} stay in RAM")


def test_more_gpus_than_a_split_can_name() -> None:
    """-ts takes 15 values, so a plan over more GPUs leaves some out instead of failing."""
    plan = omniplan.plan(cases.model("Llama-3.3-70B-Q4_K_M"), machine(*[5000] * 17), n_ctx=4096)
    args = plan.server_args

    assert len(args[args.index("-ts") + 1].split(",")) <= 15
    assert len(args[args.index("-ts") + 1].split(",")) == len(args[args.index("-dev") + 1].split(","))


def test_a_refusal_recommends_what_fits() -> None:
    """The recommended context, taken as advised, does fit."""
    model, small = cases.model("Qwen3-0.6B-Q8_0"), machine(ram=4)
    with pytest.raises(omniplan.Infeasible) as caught:
        omniplan.plan(model, small, ASKED)
    context, *others = caught.value.remedies

    assert "of cache for 32,768 tokens beside 0.59 GiB of weights do not fit on small" in str(caught.value)
    assert f"it fits with n_ctx={context['n_ctx']}" in str(caught.value)
    assert f"it fits with --ctx {context['n_ctx']}" in said(caught.value)
    for remedy in (context, *others):
        assert omniplan.plan(model, small, replace(ASKED, **remedy)).request == replace(ASKED, **remedy)


def test_no_context_beyond_training_is_recommended() -> None:
    """A model trained for 40,960 tokens is offered those, however many more would fit."""
    with pytest.raises(omniplan.Infeasible) as caught:
        omniplan.plan(cases.model("Qwen3-0.6B-Q8_0"), machine(24000, ram=None), n_ctx=1562499, cpu_weights=False)

    assert caught.value.remedies[0] == {"n_ctx": 40960}


def test_a_quant_that_cannot_exist_is_not_recommended() -> None:
    """DeepSeek-R1 in 64 GB would take less than one bit per weight; where a quant can exist it is named."""
    model = cases.model("DeepSeek-R1-Q4_K_M")
    with pytest.raises(omniplan.Infeasible) as hopeless:
        omniplan.plan(model, machine(24000), n_ctx=4096, baselines=False)
    with pytest.raises(omniplan.Infeasible) as smaller:
        omniplan.plan(model, replace(machine(24000), memory=Memory(total=256 * GIB)), n_ctx=4096, baselines=False)

    assert (hopeless.value.remedies, hopeless.value.quant) == ((), "")
    assert hopeless.value.advice == ("no quant of this model would with 4,096 tokens: even IQ1_S takes 124.55 GiB",)
    assert str(smaller.value).endswith("it fits as IQ3_M")
    assert smaller.value.quant_bytes > 0


def test_a_refusal_is_there_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """The missing bytes, and what fits in the fields of a request, on standard output; the line is on the other."""
    header = cases.model("GLM-4.7-Flash-Q8_0").header.paths[0]
    code = main(["plan", header, "--machine", "single-3090", "--ctx", "8192", "--gpu-only", "--no-baselines", "--json"])
    printed = capsys.readouterr()
    found = json.loads(printed.out)

    assert (code, found["fits"]) == (1, False)
    assert found["shortfall"]["CUDA0"] > 0
    assert {"cpu_weights": True} in found["remedies"]
    assert found["remedies"][-1]["quant"] in printed.err

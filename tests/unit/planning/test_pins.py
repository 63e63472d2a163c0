"""What the user has fixed stays: pins, bounds on patterns, nothing on the CPU; what cannot be kept is one line."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

import omniplan
from omniplan.cli.main import main
from omniplan.cli.said import said
from omniplan.domain.params import Override
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.flags.write import override_text
from omniplan.llamacpp.load.place import place
from omniplan.units import GIB
from tests.contracts.sources import ROOT
from tests.oracle import cases

GLM = "GLM-4.7-Flash-Q8_0"
SINGLE = omniplan.load_machine("single-3090")
DUAL = omniplan.load_machine("dual-4090-5070ti")
KEPT = [
    (GLM, SINGLE, (Override(r"blk\.[0-9]\.", "CUDA0"),)),
    (GLM, SINGLE, (Override(r"blk\.4[0-3]\.ffn_.*exps", "CPU"), Override("token_embd", "CUDA0"))),
    (GLM, DUAL, (Override(r"blk\.[0-4]\.ffn_.*exps", "CUDA1"),)),
    ("gpt-oss-120b-MXFP4_MOE", DUAL, (Override(r"blk\.2[0-9]\.", "CUDA0"), Override(r"blk\.(1|2)\.attn", "CPU"))),
    ("Llama-3.1-8B-Q4_K_M", SINGLE, (Override(r"output\.weight", "CPU"),)),
]


@pytest.mark.parametrize(("name", "machine", "pins"), KEPT)
def test_pinned_tensors_stay(name: str, machine: omniplan.Machine, pins: tuple[Override, ...]) -> None:
    """llama.cpp's own rules put every tensor a pin matches where it says, and the headroom is kept around it."""
    model = cases.model(name)
    plan = omniplan.plan(model, machine, n_ctx=8192, pins=pins, baselines=False)
    placement = place(model, machine, parse(plan.server_args))
    found = {
        (tensor, pin.buffer_type)
        for pin in pins
        for tensor in placement.weights.buffer_of
        if re.search(pin.pattern, tensor)
    }

    assert len(found) >= len(pins)
    assert all(placement.weights.buffer_of[tensor] == home.replace("CPU", "CUDA_Host") for tensor, home in found)
    assert min(margin.left for margin in plan.margins) >= 0
    assert plan.footprint == omniplan.footprint(model, machine, plan.server_args)
    assert plan.server_args[plan.server_args.index("-ot") + 1].startswith(",".join(map(override_text, pins)))


ONE = Override(r"blk\.1\.", "CPU")
WRONG = [
    ({"pins": [Override(r"blk\.1\.", "CUDA7")]}, "there is no device CUDA7; this machine has CPU, CUDA0"),
    ({"pins": [Override("nothing", "CUDA0")]}, "matches no tensor"),
    ({"pins": [ONE, Override(r"blk\.1\.attn", "CUDA0")]}, "matches no tensor that is loaded and not pinned before"),
    ({"pins": [Override(r"blk\.47\.", "CPU")]}, "names are such as blk.46."),
    ({"pins": [Override("(", "CUDA0")]}, "not an ECMAScript regular expression"),
    ({"pins": [Override("blk.{1,2}attn", "CPU")]}, "no pattern with a comma"),
    ({"pins": [ONE, Override(r"blk\.2\.", "CPU")], "max_patterns": 1}, "2 pins are more patterns than that"),
    ({"max_patterns": -1}, "max_patterns -1: expected 0 or more"),
    ({"load_mode": "fast"}, "load_mode fast: expected one of auto"),
]


@pytest.mark.parametrize(("asked", "says"), WRONG)
def test_what_cannot_be_asked_is_refused(asked: dict[str, Any], says: str) -> None:
    """Bad input, in one line that names the field."""
    with pytest.raises(omniplan.RequestError, match=re.escape(says)) as caught:
        omniplan.plan(cases.model(GLM), SINGLE, n_ctx=8192, **asked)

    assert caught.value.field in asked
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "asked",
    [{"pins": [Override(r"blk\..*", "CUDA0")]}, {"cpu_weights": False}, {"cpu_experts": False}],
    ids=lambda asked: next(iter(asked)),
)
def test_what_makes_it_infeasible_is_named(asked: dict[str, Any]) -> None:
    """29 GiB on 24: the error says with what, and that it fits without."""
    field = next(iter(asked))
    flag = {"pins": "--pin", "cpu_weights": "--gpu-only", "cpu_experts": "--no-cpu-experts"}[field]
    with pytest.raises(omniplan.Infeasible, match="do not fit on single-3090 within the bounds asked for:") as caught:
        omniplan.plan(cases.model(GLM), SINGLE, n_ctx=8192, **asked)

    assert {field: getattr(omniplan.Request(), field)} in caught.value.remedies
    assert f"it fits without {flag}" in said(caught.value)


def test_what_is_missing_counts_all_gpus() -> None:
    """Where nothing may be in RAM, two GPUs of 12 GB are short of 24 GB less than one of them is."""
    gpus = tuple(replace(gpu, free=12 * GIB) for gpu in DUAL.gpus)
    model = cases.model(GLM)
    with pytest.raises(omniplan.Infeasible) as caught:
        omniplan.plan(model, replace(DUAL, gpus=gpus), n_ctx=8192, cpu_weights=False)

    assert 5 * GIB < sum(caught.value.shortfall.values()) < model.header.tensor_bytes - 20 * GIB


def test_bounds_that_no_machine_without_a_gpu_keeps() -> None:
    """Nothing is short of bytes; the sentence says so."""
    with pytest.raises(omniplan.Infeasible, match="no placement keeps that; it fits with cpu_experts=True"):
        omniplan.plan(cases.model(GLM), omniplan.load_machine("cpu-only"), n_ctx=8192, cpu_experts=False)


def test_nothing_on_the_cpu_where_there_is_room() -> None:
    """The bounds change nothing about a plan that keeps them anyway."""
    free = omniplan.plan(cases.model(GLM), DUAL, n_ctx=8192, baselines=False)
    bound = omniplan.plan(cases.model(GLM), DUAL, n_ctx=8192, baselines=False, cpu_weights=False, cpu_experts=False)

    assert free.server_args == bound.server_args


@pytest.mark.parametrize("most", [0, 1, 2])
def test_patterns_are_bounded(most: int) -> None:
    """Fewer overrides are never faster; without any, whole layers leave the GPU."""
    plan = omniplan.plan(cases.model(GLM), SINGLE, n_ctx=8192, max_patterns=most, baselines=False)
    free = omniplan.plan(cases.model(GLM), SINGLE, n_ctx=8192, baselines=False)
    args = plan.server_args

    assert (args[args.index("-ot") + 1].count("=") if "-ot" in args else 0) == most
    assert free.prediction.request_seconds.value <= plan.prediction.request_seconds.value
    assert ("CPU" in plan.footprint.layers) is (most == 0)


def test_bounds_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Every bound is an option, pins as often as wanted."""
    here = ["plan", str(ROOT / "data/models/GLM-4.7-Flash-Q8_0.gguf"), "--machine", "single-3090", "--ctx", "8192"]

    assert main([*here, "--pin", r"blk\.1\.=CUDA0", "--pin", "token_embd=CPU", "--max-patterns", "4", "--json"]) == 0
    assert any(r"blk\.1\.=CUDA0,token_embd=CPU," in word for word in json.loads(capsys.readouterr().out)["server_args"])
    assert main([*here, "--gpu-only"]) == 1
    assert main([*here, "--pin", "x"]) == 2

"""Machines with one memory: what has all of a model on the GPU, said where some of it is not, and true."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

import omniplan
from omniplan.units import GIB, MIB

SMALL = omniplan.load_model("tests/data/models/zoo/Qwen3-0.6B-Q8_0.gguf")
BIG = omniplan.load_model("tests/data/models/zoo/GLM-4.7-Q4_K_M.gguf")


def shared(mib: int) -> omniplan.Machine:
    """An APU with 16 GiB of RAM, of which its GPU may take ``mib``."""
    return one_gpu(total_mib=16384, free_mib=mib, unified=True, gtt_mib=mib, limit_source="what the kernel says")


def one_gpu(**fields: Any) -> omniplan.Machine:
    """A GPU beside, or in, 16 GiB of RAM."""
    memory = {"total_mib": 16384, "reserved": [{"mib": 2048, "reason": "system"}]}
    return omniplan.Machine.from_dict({"name": "one", "gpus": [{"name": "CUDA0", **fields}], "memory": memory})


def note(plan: omniplan.Plan) -> str:
    """What a plan says of having all on the GPU."""
    return next((reason.statement for reason in plan.reasons if reason.subject == "all on the GPU"), "")


def on_gpu(model: omniplan.Model, machine: omniplan.Machine, asked: omniplan.Request) -> bool:
    """Whether a plan has every layer on the GPU, and its weights."""
    try:
        plan = omniplan.plan(model, machine, replace(asked, cpu_weights=False, cpu_experts=False))
    except omniplan.Infeasible:
        return False
    return set(plan.footprint.layers) == {"CUDA0"}


def test_what_has_all_on_the_gpu_is_said_and_true() -> None:
    """A larger share, to a GiB the least, fewer tokens and a smaller quant: each does what it says."""
    asked = omniplan.Request(n_ctx=8192, baselines=False)
    said = note(omniplan.plan(SMALL, shared(2100), asked))
    (share,) = re.findall(r"as it is, with ([\d,]+) MiB", said)
    (tokens,) = re.findall(r"with ([\d,]+) tokens", said)
    (quant,) = re.findall(r"as (\w+),", said)
    mib = int(share.replace(",", ""))

    assert on_gpu(SMALL, shared(mib), asked)
    assert not on_gpu(SMALL, shared(mib - GIB // MIB), asked)
    assert on_gpu(SMALL, shared(2100), replace(asked, n_ctx=int(tokens.replace(",", ""))))
    assert on_gpu(omniplan.requantise(SMALL, quant), shared(2100), asked)


@pytest.mark.parametrize(
    "machine",
    [
        pytest.param(shared(8192), id="it is all there"),
        pytest.param(one_gpu(total_mib=2100), id="memory of its own"),
    ],
)
def test_nothing_is_said_where_it_is_no_question(machine: omniplan.Machine) -> None:
    """With all on the GPU, or a GPU beside RAM."""
    assert not note(omniplan.plan(SMALL, machine, omniplan.Request(n_ctx=8192, baselines=False)))


def test_a_model_of_201_gib_is_refused_with_the_quant_and_the_share_that_do() -> None:
    """GLM-4.7 on a Strix Halo of 128 GB: IQ2_S fits, and on the GPU with a share that is said in the kernel's words."""
    machine = omniplan.machine_from_words("Strix Halo 128 GB")

    with pytest.raises(omniplan.Infeasible) as refusal:
        omniplan.plan(BIG, machine, omniplan.Request(n_ctx=32768))

    assert (refusal.value.quant, refusal.value.quant_bytes // GIB) == ("IQ2_S", 98)
    (way,) = [text for text in refusal.value.advice if text.startswith("all on the GPU")]
    (mib, pages) = re.findall(r"as IQ2_S, .* with ([\d,]+) MiB for the GPU \(ttm.pages_limit=(\d+) on", way)[0]
    assert int(mib.replace(",", "")) * MIB == int(pages) * 4096


# Published tokens/s of gpt-oss-120b: GB10 at depths of 8,192 and 0, Strix Halo (ROCm) at 32,768 and 0.
@pytest.mark.parametrize(
    ("words", "slowest", "fastest"),
    [("DGX Spark", 51.85, 59.02), ("Strix Halo 128 GB", 36.32, 51.81), ("M3 Ultra 512 GB", 0, float("inf"))],
)
def test_a_model_that_fits_is_planned_at_published_speeds(words: str, slowest: float, fastest: float) -> None:
    """All of gpt-oss-120b on the GPU; a Mac's speed with this model is in no table at hand."""
    model = omniplan.load_model("tests/data/models/zoo/gpt-oss-120b-MXFP4_MOE.gguf")
    plan = omniplan.plan(model, omniplan.machine_from_words(words), omniplan.Request(n_ctx=8192, baselines=False))

    (device,) = set(plan.footprint.layers)
    assert device != "CPU"
    assert slowest <= plan.prediction.decode_tokens_per_second.value <= fastest


def test_what_is_a_little_too_large_for_metal_is_read_apart_from_its_file() -> None:
    """Mapped in place, all of a file counts on the GPU, and moving experts would free nothing; read apart, it does."""
    machine = omniplan.machine_from_words("Mac Studio M3 Ultra 512GB")
    found = omniplan.plan("data/models/DeepSeek-R1-Q4_K_M.gguf", machine, n_ctx=8192, baselines=False)

    assert found.footprint.fits
    assert found.server_args[found.server_args.index("--load-mode") + 1] == "none"
    assert 0 < found.footprint.buffers["MTL0"].total < machine.gpus[0].room
    assert "--load-mode" not in omniplan.plan("data/models/GLM-4.7-Flash-Q8_0.gguf", machine, n_ctx=8192).server_args

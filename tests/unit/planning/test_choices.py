"""What is chosen besides the placement: cache type, context, order, loading, op offload, the output's place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import omniplan
from omniplan.api import predict
from omniplan.cli.main import main
from omniplan.domain.evidence import Basis
from omniplan.domain.machine import Gpu, Machine, Memory
from omniplan.predict.accuracy import comparison_error
from omniplan.units import GIB, MIB
from tests.contracts.sources import ROOT
from tests.oracle import cases

GLM = "GLM-4.7-Flash-Q8_0"
SINGLE = omniplan.load_machine("single-3090")
LARGE = omniplan.load_machine("h100")


def gpu(index: int, free: int, *, lanes: int = 16) -> Gpu:
    """One of equal GPUs, whose link may be narrow."""
    return Gpu(
        name=f"CUDA{index}",
        description="",
        total=free * MIB,
        free=free * MIB,
        bandwidth=500e9,
        compute_capability="8.9",
        pcie_generation=3,
        pcie_width=lanes,
    )


SMALL = Machine(name="small", gpus=(gpu(0, 2700),), memory=Memory(total=16 * GIB))


def plan(name: str, machine: Machine, **asked: Any) -> omniplan.Plan:
    """A plan without baselines."""
    return omniplan.plan(cases.model(name), machine, baselines=False, **asked)


def took(found: omniplan.Plan) -> float:
    """Seconds of the request."""
    return found.prediction.request_seconds.value


def test_the_preferred_cache_type_wins_where_it_is_as_fast() -> None:
    """All in VRAM, a quantised cache is not clearly faster; the order of the list is the order of preference."""
    assert plan(GLM, LARGE, n_ctx=8192, cache_types=("f16", "q8_0")).settings.cache_type_k == "f16"
    assert plan(GLM, LARGE, n_ctx=8192, cache_types=("q8_0", "f16")).settings.cache_type_k == "q8_0"


def test_a_smaller_cache_wins_where_only_it_fits() -> None:
    """Or where the preferred one is clearly slower; what was tried is told."""
    found = plan("Qwen3-0.6B-Q8_0", SMALL, n_ctx=12288, cache_types=("f16", "q8_0"), cpu_weights=False)
    told = [reason.statement for reason in found.reasons if reason.subject == "-ctk q8_0 -ctv q8_0"]

    assert ("q8_0", "q8_0") == (found.settings.cache_type_k, found.settings.cache_type_v)
    assert len(told) == 1
    assert "f16: does not fit" in told[0]


def test_types_that_cannot_be_used_are_passed_over() -> None:
    """A type llama.cpp does not take for this model is no reason to refuse the others."""
    assert plan("gpt-oss-20b-MXFP4_MOE", LARGE, n_ctx=4096, cache_types=("q4_K", "f16")).settings.cache_type_k == "f16"
    with pytest.raises(omniplan.OmniplanError):
        plan("gpt-oss-20b-MXFP4_MOE", LARGE, n_ctx=4096, cache_types=("q4_K",))


def test_the_wish_is_granted_where_it_costs_nothing() -> None:
    """Between the least and the wish, the most context that is not clearly slower than the least."""
    assert plan(GLM, LARGE, n_ctx=65536, n_ctx_least=8192).settings.n_ctx == 65536

    least = plan(GLM, SINGLE, n_ctx=8192)
    found = plan(GLM, SINGLE, n_ctx=131072, n_ctx_least=8192)
    assert 8192 < found.settings.n_ctx < 131072
    error = comparison_error(least.request.objective, least.prediction, found.prediction)
    assert took(least) >= (1 - error) * took(found)
    assert any(reason.subject == f"-c {found.settings.n_ctx}" for reason in found.reasons)


def test_the_least_context_must_fit() -> None:
    """A wish nobody can grant is no refusal; a least nobody can grant is one."""
    asked = {"n_ctx": 40960, "cpu_weights": False}

    assert 4096 <= plan("Qwen3-0.6B-Q8_0", SMALL, n_ctx_least=4096, **asked).settings.n_ctx < 40960
    with pytest.raises(omniplan.Infeasible):
        plan("Qwen3-0.6B-Q8_0", SMALL, n_ctx_least=36864, **asked)
    with pytest.raises(omniplan.InputError, match="more than the wish"):
        plan("Qwen3-0.6B-Q8_0", SMALL, n_ctx_least=65536, **asked)


def test_memory_is_pinned_where_weights_stream() -> None:
    """Only there, only where RAM is known to hold them, and only if the user did not say otherwise."""
    usual = plan(GLM, SINGLE, n_ctx=8192).server_args
    unknown = plan(GLM, replace(SINGLE, memory=None), n_ctx=8192).server_args
    mapped = plan(GLM, SINGLE, n_ctx=8192, load_mode="mmap").server_args

    assert usual[usual.index("--load-mode") + 1] == "none"
    assert "--load-mode" not in unknown
    assert mapped[mapped.index("--load-mode") + 1] == "mmap"
    assert "--load-mode" not in plan(GLM, LARGE, n_ctx=8192).server_args


def test_a_prompt_stays_on_a_strong_cpu() -> None:
    """Copying 200 GB over eight lanes for every micro-batch takes longer than 96 cores do; a weaker CPU leaves it."""
    owned, model = omniplan.load_machine("omni-nps1"), cases.model("DeepSeek-R1-Q4_K_M")
    machine = replace(owned, gpus=tuple(replace(each, link_bandwidth=25e9) for each in owned.gpus))
    found = plan("DeepSeek-R1-Q4_K_M", machine, n_ctx=8192)
    offloaded = [word for word in found.server_args if word != "--no-op-offload"]

    assert "--no-op-offload" in found.server_args
    assert took(found) < predict(model, machine, [*offloaded, "--load-mode", "none"]).request_seconds.value
    assert "--no-op-offload" not in plan(GLM, SINGLE, n_ctx=8192).server_args


def test_the_wide_link_comes_first() -> None:
    """The first device streams what is in RAM, so a GPU behind one lane is put behind the other."""
    ram = Memory(total=64 * GIB, bandwidth=50e9, bandwidth_basis=Basis.MEASURED)
    wide = Machine(name="wide", gpus=(gpu(0, 9000), gpu(1, 9000, lanes=1)), memory=ram)
    narrow = Machine(name="narrow", gpus=(gpu(0, 9000, lanes=1), gpu(1, 9000)), memory=ram)
    asked = {"n_ctx": 8192, "n_prompt": 8192, "n_gen": 16}
    first, second = plan(GLM, wide, **asked), plan(GLM, narrow, **asked)

    assert "-dev" not in first.server_args
    assert second.server_args[second.server_args.index("-dev") + 1] == "CUDA1,CUDA0"
    assert took(first) == pytest.approx(took(second), rel=0.01)


def test_a_large_output_matrix_may_stay_in_ram() -> None:
    """A vocabulary of 256,000 weighs as much as layers, and reading it there costs less than handing those over."""
    ram = Memory(total=64 * GIB, bandwidth=60e9, bandwidth_basis=Basis.MEASURED)
    machine = Machine(name="tight", gpus=(replace(gpu(0, 6000), description="RTX 4070"),), memory=ram)
    found = plan("gemma-2-9b-Q4_K_M", machine, n_ctx=4096)

    assert found.settings.head_on_cpu
    assert r"token_embd\.weight=CPU" in found.server_args[found.server_args.index("-ot") + 1]
    assert min(margin.left for margin in found.margins) >= 0


def test_choices_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A range of contexts and a list of cache types; nonsense is bad input."""
    here = ["plan", str(ROOT / "data/models/GLM-4.7-Flash-Q8_0.gguf"), "--machine", "h100", "--no-baselines"]

    assert main([*here, "--ctx", "4096..16384", "--cache-type", "f16,q8_0"]) == 0
    assert "-c 16384" in capsys.readouterr().out
    assert main([*here, "--ctx", "4096..many"]) == 2
    assert main([*here, "--ctx", "8192..4096"]) == 2

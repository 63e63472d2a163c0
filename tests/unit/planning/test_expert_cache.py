"""``moe_cache`` of a request: the GPUs' cache of experts, sized where it pays and left out where it costs."""

from __future__ import annotations

from dataclasses import replace

import pytest

import omniplan
from omniplan import Objective, Request
from omniplan.domain.footprint import ContextKind
from omniplan.domain.machine import Machine
from omniplan.errors import ArgumentError, RequestError
from tests.oracle import cases

FLAG = "--moe-cache-mib"
MODEL = cases.model("Qwen3-Next-80B-A3B-Q4_K_M")
REQUEST = Request(n_ctx=8192, build=11549, baselines=False, objective=Objective.DECODE)


def desk(*, lanes: int = 16) -> Machine:
    """An RTX 5070 Ti on PCIe 4 beside two channels of DDR4."""
    gpu = {"name": "CUDA0", "description": "RTX 5070 Ti", "total_mib": 16303, "free_mib": 15900,
           "compute_capability": "12.0", "pcie_generation": 4, "pcie_width": lanes}  # fmt: skip
    memory = {"total_mib": 98304, "bandwidth_gbs": 45, "bandwidth_basis": "measured"}
    return Machine.from_dict({"name": "desk", "gpus": [gpu], "cpu": {"n_cores": 16}, "memory": memory})


def plan(machine: Machine, **changes: object) -> omniplan.Plan:
    """A plan of the request, changed."""
    return omniplan.plan(MODEL, machine, replace(REQUEST, **changes))  # type: ignore[arg-type]


def test_it_is_sized_where_it_pays() -> None:
    """The plan with it is clearly faster than the one without, fits, and is what the arguments take."""
    plain, cached = plan(desk()), plan(desk(), moe_cache="auto")
    size = cached.settings.moe_cache

    assert FLAG not in plain.server_args
    assert cached.server_args[cached.server_args.index(FLAG) + 1] == str(size)
    assert cached.prediction.decode_tokens_per_second.value > 1.2 * plain.prediction.decode_tokens_per_second.value
    assert cached.footprint.fits
    assert min(margin.left for margin in cached.margins) >= 0
    assert cached.footprint == omniplan.footprint(MODEL, desk(), cached.server_args, build=11549)
    assert [r.verdict for r in cached.reasons if r.subject == f"{FLAG} {size}"] == ["chosen"]


def test_no_size_by_hand_is_clearly_better() -> None:
    """Neither a smaller nor a larger one than those that were tried."""
    found = plan(desk(), moe_cache="auto")
    by_hand = [plan(desk(), moe_cache=size) for size in (1024, 3000, 9000)]

    assert all(sum(found.prediction.terms.values()) < 1.05 * sum(each.prediction.terms.values()) for each in by_hand)


def test_it_is_left_out_where_it_costs() -> None:
    """On four lanes; the plan says what it would have been."""
    plain, left = plan(desk(lanes=4)), plan(desk(lanes=4), moe_cache="auto")

    assert left.server_args == plain.server_args
    assert [r.verdict for r in left.reasons if r.subject.startswith(FLAG)] == ["rejected"]


def test_a_size_that_is_asked_for_is_kept() -> None:
    """On a slow link too, and as much else as fits stays on the GPU."""
    asked = plan(desk(lanes=4), moe_cache=2048)

    assert asked.settings.moe_cache == 2048
    assert asked.footprint.fits
    assert asked.prediction.cached_experts is not None
    assert any(size.context > 1900 << 20 for size in asked.footprint.contexts[ContextKind.EXPERT_CACHE].values())


def test_several_gpus_share_it_by_the_split() -> None:
    """Every GPU with experts in RAM has its part, and nothing is left open."""
    both = plan(omniplan.load_machine("dual-4090-5070ti"), moe_cache=6000)

    assert both.footprint.fits
    assert {"-ts", FLAG} <= set(both.server_args)


def test_what_cannot_be_asked() -> None:
    """A build without it, a word that is none, and too little for one token."""
    with pytest.raises(RequestError, match="moe_cache auto: b11434 has no cache of experts"):
        plan(desk(), moe_cache="auto", build=11434)
    with pytest.raises(RequestError, match="moe_cache much: expected MiB or auto"):
        Request(moe_cache="much")
    with pytest.raises(RequestError, match="moe_cache 0"):
        Request(moe_cache=0)
    with pytest.raises(ArgumentError, match="do not hold the experts of one token"):
        plan(desk(), moe_cache=4)


def test_it_is_written_only_for_builds_that_have_it() -> None:
    """A plan with it is no plan for b11434, and the refusal names the build."""
    cached = plan(desk(), moe_cache=4096)

    assert f"{FLAG} 4096" in omniplan.emit(cached, format="shell")
    assert f"{FLAG} 4096" in omniplan.emit(cached, format="shell", llama_cpp="b11480")
    with pytest.raises(ArgumentError, match=f"{FLAG} 4096: b11434 lacks it"):
        omniplan.emit(cached, format="shell", llama_cpp="b11434")

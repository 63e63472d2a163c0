"""How builds before the known ones wrote their caches, held to what their logs printed."""

from __future__ import annotations

import pytest

import omniplan
from omniplan.llamacpp.build import builds
from tests.contracts.sources import ROOT

ZOO = ROOT / "tests/data/models/zoo"
MIB = 1 << 20


def machine(count: int) -> omniplan.Machine:
    gpu = {"description": "RTX 3090", "total_mib": 1 << 17, "compute_capability": "8.6"}
    return omniplan.Machine.from_dict({"name": "log", "gpus": [{"name": f"CUDA{i}", **gpu} for i in range(count)]})


def priced(model: str, build: int, count: int, args: str) -> omniplan.Footprint:
    words = [*args.split(), "-np", "1", "-ngl", "99"]
    return omniplan.footprint(ZOO / f"{model}.gguf", machine(count), words, build=build)


@pytest.mark.parametrize("count", [1, 2])
def test_caches_without_indices(count: int) -> None:
    """b2833 printed 640.01 and 640.02 MiB of compute for Llama 3 8B over GPUs: no index of any element is an input."""
    found = priced("Llama-3.1-8B-Q4_K_M", 2833, 2, "-c 8192 -fa off")

    assert found.buffers[f"CUDA{count - 1}"].compute / MIB == pytest.approx(640.01, abs=0.011)


def test_latent_caches_with_v() -> None:
    """b5331 printed 2074 MiB for DeepSeek-V3 with 16,384 cells, b8929's library holds K alone."""
    sizes = {
        build: sum(size.context for size in priced("DeepSeek-R1-Q2_K", build, 4, "-c 16384 -fa").buffers.values())
        for build in (5331, 8929)
    }

    assert sizes == {5331: 2074 * MIB, 8929: 2074 * MIB * 576 // 1088}


def test_what_is_before_the_known_builds_stays_open() -> None:
    """Rows from logs make figures better, and no build known."""
    assert {5331, 2833}.isdisjoint(builds())
    assert priced("Llama-3.1-8B-Q4_K_M", 2833, 2, "-c 8192").fits is None

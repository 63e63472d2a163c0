"""One pool is one pool: what lies on a GPU whose memory is the RAM is taken from RAM, whatever --fit thinks of it."""

from __future__ import annotations

import pytest

import omniplan
from omniplan.domain.machine import Machine
from omniplan.machines.probe.words import machine_from_words
from tests.oracle import cases

# 201 GiB of weights.
LARGE = "tests/data/models/zoo/GLM-4.7-Q4_K_M.gguf"
SMALL = "Llama-3.1-8B-Q4_K_M"
SHARED = ("Strix Halo, 128 GB", "DGX Spark, 128 GB", "M4 Max, 128 GB", "M1 Ultra, 128 GB")


@pytest.mark.parametrize("words", SHARED)
@pytest.mark.parametrize(
    "args", [["--fit", "on"], ["-ngl", "99"], ["-ngl", "40"], ["-ngl", "0"], ["-cmoe", "-ngl", "99"]]
)
def test_a_model_that_is_larger_than_all_memory_does_not_fit(words: str, args: list[str]) -> None:
    """In no division between the GPU and the CPU, and whether the back end's buffers are priced or not."""
    machine = machine_from_words(words)
    priced = omniplan.footprint(LARGE, machine, ["-c", "8192", *args])
    ram = priced.pools[-1]

    assert priced.fits is False
    assert (ram.name, ram.members) == ("RAM", ("CPU", machine.gpus[0].name))
    assert ram.used == sum(size.total for size in priced.buffers.values())
    assert ram.free == machine.ram


@pytest.mark.parametrize("words", SHARED)
def test_no_plan_spreads_it_over_one_memory_twice(words: str) -> None:
    """It is refused, with a shortfall that no other pool could hold."""
    with pytest.raises(omniplan.Infeasible):
        omniplan.plan(LARGE, machine_from_words(words), n_ctx=8192)


def test_what_llama_cpp_sees_is_not_what_is_there() -> None:
    """--fit trusts the free memory that a device reports: it leaves the arguments alone where RAM is full."""
    gpu = {"name": "CUDA0", "total_mib": 16384, "unified": True, "compute_capability": "12.1"}
    reserved = [{"mib": 12288, "reason": "others"}]
    memory = {"total_mib": 16384, "reserved": reserved}
    machine = Machine.from_dict({"name": "full", "gpus": [gpu], "memory": memory})
    model = cases.model(SMALL)

    assert omniplan.fit(model, machine, ["-c", "8192"]).changed is False
    assert omniplan.footprint(model, machine, ["-c", "8192", "-ngl", "99"]).shortfall.keys() == {"RAM"}


def test_the_limit_of_a_gpu_is_a_pool_of_its_own() -> None:
    """What RAM could hold may be more than Metal lets the GPU take."""
    priced = omniplan.footprint(cases.model("Qwen3-30B-A3B-Q4_K_M"), machine_from_words("M1 Pro, 24 GB"), ["-c", "512"])

    assert priced.shortfall.keys() == {"MTL0"}
    assert omniplan.footprint(cases.model(SMALL), machine_from_words("M1 Pro, 24 GB"), ["-c", "512"]).shortfall == {}

"""How fast a machine's parts are said to be: as stated, by the tables, or as assumed, which is then said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from omniplan.domain.machine import Machine
from omniplan.llamacpp.flags.args import parse
from omniplan.predict.rates import GpuRates, Rates, rates

CONSTANTS: Mapping[str, float] = {
    "gpu.ops_per_byte": 600.0,
    "gpu.ops_per_byte_no_tensor": 20.0,
    "cpu.nominal_share": 0.5,
    "cpu.numa_share": 0.25,
    "cpu.nps_power": 0.5,
    "link.pinned_share": 0.8,
    "link.pageable_share": 0.4,
    "link.ram_share": 0.1,
    "link.staged": 1e10,
    "link.staged_rocm": 1e11,
    "link.ram_share_rocm": 1.0,
    "link.expert_share_vulkan": 0.1,
}


def machine(**facts: Any) -> Machine:
    """A machine whose figures are all stated, but for what ``facts`` change."""
    cpu = {"n_cores": 16, "n_threads": 32}
    memory = {"total_mib": 98304, "bandwidth_gbs": 64, "bandwidth_basis": "measured"}
    return Machine.from_dict({"name": "desk", "cpu": cpu, "memory": memory, **facts})


def found(*args: str, **facts: Any) -> Rates:
    """The rates of ``machine`` for a command."""
    return rates(machine(**facts), parse(list(args)), CONSTANTS)


def gpu(**fields: Any) -> GpuRates:
    """The rates of one GPU of 24 GB that no table knows, but for ``fields``."""
    raw = {"name": "CUDA0", "description": "unheard of", "total_mib": 24576, **fields}
    return found(gpus=[raw]).gpus["CUDA0"]


def test_a_link_is_its_generation_times_its_lanes() -> None:
    """By the PCIe specifications, after encoding; what a GPU could do counts, not what it idles at."""
    speeds = {at: gpu(pcie_generation=at, pcie_width=8).link / 8e9 for at in (1, 2, 3, 4, 5, 6)}
    idle = gpu(pcie_generation=1, pcie_generation_max=4, pcie_width=4, pcie_width_max=16)

    assert speeds == {1: 0.25, 2: 0.5, 3: 0.985, 4: 1.969, 5: 3.938, 6: 7.563}
    assert idle.link == pytest.approx(16 * 1.969e9)
    assert gpu(pcie_generation=4, pcie_width=16, link_gbs=25).link == 25e9
    assert gpu(description="RTX 4060 Ti 16GB", total_mib=16384).link == pytest.approx(8 * 1.969e9)
    assert gpu().link == pytest.approx(16 * 1.969e9)


def test_memory_that_is_pinned_is_copied_faster() -> None:
    """Read without mmap, and where the host buffers are wanted; Vulkan is slow with one expert at a time, however."""
    args = {(): 4e9, ("--load-mode", "none"): 8e9, ("--load-mode", "dio"): 8e9, ("-lm", "none", "--no-host"): 4e9}
    raw = {"name": "CUDA0", "description": "unheard of", "total_mib": 24576, "link_gbs": 10}

    seen = {words: found(*words, gpus=[raw]).gpus["CUDA0"] for words in args}
    other = found("--load-mode", "none", gpus=[{**raw, "name": "Vulkan0"}]).gpus["Vulkan0"]

    assert {words: speeds.copies for words, speeds in seen.items()} == args
    assert {words: speeds.uploads for words, speeds in seen.items()} == args
    assert (other.copies, other.uploads) == (8e9, 1e9)


def test_a_mapped_file_is_copied_as_fast_as_ram_lets_the_driver() -> None:
    """A tenth of 64 GB/s bounds a fast link, but where the driver pins the file's pages in place."""
    raw = {"name": "CUDA0", "description": "unheard of", "total_mib": 24576, "link_gbs": 40}

    assert found(gpus=[raw]).gpus["CUDA0"].copies == pytest.approx(6.4e9)
    assert found("-lm", "none", gpus=[raw]).gpus["CUDA0"].copies == pytest.approx(32e9)
    assert found(gpus=[{**raw, "name": "ROCm0"}]).gpus["ROCm0"].copies == pytest.approx(16e9)


def test_wide_dot_products_are_those_of_the_processor() -> None:
    """As stated, or by its name."""
    known: tuple[dict[str, Any], ...] = (
        {},
        {"model": "Ryzen 9 7950X"},
        {"model": "Ryzen 5 3600"},
        {"features": ["avx512_vnni"]},
    )

    assert [found(cpu=cpu).has_avx512 for cpu in known] == [False, True, False, True]


@pytest.mark.parametrize(
    ("fields", "memory", "int8", "fp16"),
    [
        ({"bandwidth_gbs": 700, "int8_tops": 300, "fp16_tflops": 99}, 700e9, 300e12, 150e12),
        ({"bandwidth_gbs": 700, "fp16_tflops": 99}, 700e9, 198e12, 99e12),
        ({"bandwidth_gbs": 700}, 700e9, 420e12, 210e12),
        ({"bandwidth_gbs": 700, "compute_capability": "6.1"}, 700e9, 14e12, 7e12),
        ({"bandwidth_gbs": 700, "compute_capability": "7.0"}, 700e9, 420e12, 210e12),
        ({}, 500e9, 300e12, 150e12),
        ({"description": "RTX 4090", "total_mib": 24564}, 1008e9, 660.6e12, 330.3e12),
        ({"description": "RTX 4090", "total_mib": 24564, "bandwidth_gbs": 900}, 900e9, 660.6e12, 330.3e12),
    ],
)
def test_what_is_stated_comes_before_a_row_and_a_row_before_a_guess(
    fields: dict[str, Any], memory: float, int8: float, fp16: float
) -> None:
    """Bytes per second and tensor operations; before compute capability 7.0 there are no tensor cores."""
    rated = gpu(**fields)

    assert (rated.memory, rated.int8, rated.fp16) == pytest.approx((memory, int8, fp16))


def test_of_several_rows_the_nearest_in_memory_counts() -> None:
    """Within an eighth of the row's; among those the nearest in bandwidth."""
    assert gpu(description="RTX 3060", total_mib=7900).memory == 240e9
    assert gpu(description="RTX 3060", total_mib=11200).memory == 360e9
    assert gpu(description="RTX 3060 (a laptop's)", total_mib=8000, bandwidth_gbs=336).int8 == 101.9e12


def test_only_what_is_not_known_is_assumed() -> None:
    """One line each; a machine that says everything makes none."""
    stated = {
        "name": "CUDA0", "description": "x", "total_mib": 24576, "bandwidth_gbs": 700, "int8_tops": 300,
        "pcie_generation": 4, "pcie_width": 16,
    }  # fmt: skip

    assert found(gpus=[stated]).assumptions == ()
    for fact, word in {"bandwidth_gbs": "memory", "int8_tops": "tensor", "pcie_width": "PCIe"}.items():
        (line,) = found(gpus=[{key: value for key, value in stated.items() if key != fact}]).assumptions
        assert word in line


def test_threads_are_those_of_the_command_or_the_cores() -> None:
    """``-t 0`` takes hardware threads. A prompt's are decode's where none are given, and stay on one socket."""
    two = {"cpu": {"n_cores": 64, "n_threads": 128, "n_sockets": 2}}

    assert [found(*args).threads for args in ((), ("-t", "4"), ("-t", "0"))] == [16, 4, 32]
    assert [found(*args).cores_batch for args in ((), ("-t", "4"), ("-t", "4", "-tb", "8"))] == [16, 4, 8]
    assert (found(**two).cores, found(**two).cores_batch) == (64, 32)
    assert found("--numa", "distribute", **two).cores_batch == 64
    assert found("--numa", "isolate", **two).cores_batch == 32
    assert found(cpu={"n_cores": 64, "allowed_cores": 6}).cores == 6
    assert found(cpu={"model": "2x Xeon Gold 6138 (Skylake)", "n_sockets": 2}).cores == 40
    assert (found(cpu={}).cores, len(found(cpu={}).assumptions)) == (8, 1)


NOMINAL = {"total_mib": 1 << 19, "channels": 8, "speed_mts": 4800}


@pytest.mark.parametrize(
    ("args", "facts", "rate"),
    [
        ((), {}, 64.0),
        ((), {"memory": NOMINAL}, 153.6),
        ((), {"memory": NOMINAL, "nps": 4}, 76.8),
        (("--numa", "distribute"), {"memory": NOMINAL, "nps": 4}, 153.6),
        ((), {"memory": NOMINAL, "cpu": {"n_cores": 64, "n_sockets": 2}}, 76.8),
        (("--numa", "distribute"), {"memory": NOMINAL, "cpu": {"n_cores": 64, "n_sockets": 2}}, 96.0),
        ((), {"memory": {**NOMINAL, "bandwidth_gbs": 307.2, "bandwidth_basis": "spec"}}, 153.6),
        ((), {"memory": {**NOMINAL, "bandwidth_gbs": 200, "bandwidth_basis": "spec"}}, 200.0),
        ((), {"memory": {**NOMINAL, "bandwidth_gbs": 200, "bandwidth_basis": "measured"}, "nps": 4}, 100.0),
        ((), {"memory": {**NOMINAL, "bandwidth_gbs": 200, "bandwidth_basis": "modelled"}, "nps": 4}, 200.0),
        ((), {"memory": {"total_mib": 1 << 17}, "cpu": {"n_cores": 24}}, 37.5),
        ((), {"memory": {"total_mib": 1 << 17}, "cpu": {"n_cores": 25}}, 125.0),
        ((), {"memory": {"total_mib": 1 << 17}, "cpu": {"model": "Xeon Gold 6138"}}, 63.984),
    ],
)
def test_ram_is_as_fast_as_it_was_measured_or_a_share_of_what_it_is_called(
    args: tuple[str, ...], facts: dict[str, Any], rate: float
) -> None:
    """GB/s: half of what the nominal is, of one socket unless told to spread, and less where reads leave a node."""
    assert found(*args, **facts).ram / 1e9 == pytest.approx(rate)

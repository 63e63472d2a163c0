"""What a machine's memories are, and what the devices that share one may take of it."""

from __future__ import annotations

import pytest

from omniplan.domain.machine import Machine
from omniplan.errors import InputError
from omniplan.units import GIB


def machine(gpu: dict[str, object], *, ram_gib: int | None = 128) -> Machine:
    """One GPU that uses RAM, which has 8 GiB reserved."""
    unified = {
        "name": "ROCm0",
        "total_mib": 131072,
        "free_mib": 102400,
        "unified": True,
        "limit_source": "sysfs",
        **gpu,
    }
    reserved = [{"mib": 8192, "reason": "system"}]
    memory = {} if ram_gib is None else {"memory": {"total_mib": ram_gib * 1024, "reserved": reserved}}
    return Machine.from_dict({"name": "shared", "gpus": [unified], **memory})


@pytest.mark.parametrize(
    ("gpu", "draws_on_ram", "room", "everything"),
    [
        ({}, True, 100, 120),
        ({"gtt_mib": 65536}, True, 64, 120),
        ({"gtt_mib": 131072}, True, 100, 120),
        ({"working_set_mib": 98304}, True, 96, 120),
        ({"carve_out_mib": 512, "gtt_mib": 65536}, True, 64, 120),
        ({"carve_out_mib": 98304, "gtt_mib": 16384}, False, 96, 120 + 96),
        ({"carve_out_mib": 98304}, False, 96, 120 + 96),
        ({"unified": False, "limit_source": ""}, False, 100, 120 + 100),
    ],
    ids=["free", "gtt", "gtt beyond free", "working set", "small carve-out", "large carve-out", "carve-out", "own"],
)
def test_what_a_gpu_may_take(gpu: dict[str, object], draws_on_ram: bool, room: int, everything: int) -> None:
    """What is free within the limit; only memory that is no RAM adds to what the machine holds in all, in GiB."""
    known = machine(gpu)

    assert (known.gpus[0].draws_on_ram, known.gpus[0].room // GIB) == (draws_on_ram, room)
    assert (known.everything or 0) // GIB == everything


@pytest.mark.parametrize(("gpu", "ram"), [({}, 100 * GIB), ({"unified": False, "limit_source": ""}, None)])
def test_ram_that_nobody_described(gpu: dict[str, object], ram: int | None) -> None:
    """It is what a GPU that draws on it has free, and unknown beside a GPU with memory of its own."""
    assert machine(gpu, ram_gib=None).ram == ram


@pytest.mark.parametrize(
    ("gpu", "fault"),
    [
        ({"gtt_mib": 1024, "limit_source": ""}, r"gpus\[0\].limit_source"),
        ({"working_set_mib": 1024, "unified": False}, r"gpus\[0\].working_set_mib"),
    ],
)
def test_limits_have_a_source_and_limit_ram(gpu: dict[str, object], fault: str) -> None:
    """A limit says where it comes from, and only GPUs that use RAM have one."""
    with pytest.raises(InputError, match=fault):
        machine(gpu)


def test_limits_are_written_and_read_back() -> None:
    """A machine file holds all three."""
    known = machine({"gtt_mib": 65536, "carve_out_mib": 512, "working_set_mib": 90112})

    assert Machine.from_dict(known.to_dict()) == known

"""What --fit cannot be asked for; what it chooses is held against llama.cpp's own choices in tests/oracle."""

from __future__ import annotations

from dataclasses import replace

import pytest

import omniplan
from omniplan.domain.params import MAX_DEVICES
from tests.oracle import cases


def test_more_devices_than_llama_cpp_has_room_for() -> None:
    """One too many is refused with the way out, which works."""
    machine = omniplan.load_machine("single-3090")
    gpus = tuple(replace(machine.gpus[0], name=f"CUDA{index}") for index in range(MAX_DEVICES + 1))
    machine = replace(machine, gpus=gpus)
    model = cases.model("Llama-3.1-8B-Q4_K_M")

    with pytest.raises(
        omniplan.ArgumentError, match="room for 16 devices, and there are 17; name at most 16 with -dev"
    ):
        omniplan.fit(model, machine, ["-c", "4096"])
    named = ",".join(gpu.name for gpu in gpus[:MAX_DEVICES])
    assert not omniplan.fit(model, machine, ["-c", "4096", "-dev", named]).changed

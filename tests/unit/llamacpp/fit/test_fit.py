"""What --fit cannot be asked for; what it chooses is held against llama.cpp's own choices in tests/oracle."""

from __future__ import annotations

from dataclasses import replace

import pytest

import omniplan
from omniplan.domain.footprint import RAM
from omniplan.domain.machine import Machine, Memory
from omniplan.domain.params import MAX_DEVICES
from omniplan.units import MIB
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


def ram_only(total: int) -> Machine:
    return Machine(name="host", memory=Memory(total=total))


def test_without_gpus_ram_must_keep_the_target() -> None:
    """To the byte, for the context that was left to fit; one byte less and there is less context."""
    model, args = cases.model("Qwen3-0.6B-Q8_0"), ["-np", "1", "-fitt", "512"]
    priced = omniplan.footprint(model, ram_only(1 << 40), [*args, "--fit", "off"])
    used = next(pool.used for pool in priced.pools if pool.name == RAM)
    enough = omniplan.fit(model, ram_only(used + 512 * MIB), args)
    less = omniplan.fit(model, ram_only(used + 512 * MIB - 1), args)

    assert (enough.changed, enough.n_ctx) == (False, priced.n_ctx)
    assert less.changed
    assert 4096 <= less.n_ctx < priced.n_ctx


def test_the_least_context_is_of_every_slot() -> None:
    """Where slots have caches of their own, four of them keep four times the least context that was asked for."""
    machine = omniplan.load_machine("single-3090")
    machine = replace(machine, gpus=(replace(machine.gpus[0], free=800 * MIB),))
    model = cases.model("Qwen3-0.6B-Q8_0")
    found = {
        flag: omniplan.fit(model, machine, ["-np", "4", flag, "-fitc", "2048", "-fitt", "0"]).n_ctx
        for flag in ("--kv-unified", "--no-kv-unified")
    }

    assert found == {"--kv-unified": 2048, "--no-kv-unified": 8192}

"""A machine with the devices of its hosts in front, as llama-server sees it with --rpc."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

from omniplan.domain.hosts import joined, joined_addresses
from omniplan.domain.machine import Machine
from omniplan.errors import InputError
from omniplan.machines.files import load_machine, machine_toml, parse_machine
from omniplan.units import GIB, MIB
from tests.machines import machines
from tests.property.strategies import examples


def machine(*hosts: Mapping[str, object]) -> Machine:
    """One GPU here, and ``hosts``."""
    return Machine.from_dict({"name": "main", "gpus": [{"name": "CUDA0", "total_mib": 24576}], "hosts": list(hosts)})


TWO_GPUS = {
    "address": "10.0.0.2:50052",
    "machine": {
        "name": "two",
        "gpus": [
            {"name": "CUDA0", "total_mib": 24576, "pci": "0000:01:00.0"},
            {"name": "CUDA1", "total_mib": 16384, "free_mib": 16000},
        ],
    },
}
SHARED = {
    "address": "halo.lan:50052",
    "machine": {
        "name": "halo",
        "memory": {"total_mib": 131072, "reserved": [{"mib": 40960, "reason": "system"}]},
        "gpus": [
            {"name": "ROCm0", "total_mib": 131072, "unified": True, "gtt_mib": 122880, "limit_source": "sysfs"},
        ],
    },
}
NO_GPU = {"address": "old:50052", "machine": {"name": "old", "memory": {"total_mib": 65536}}}


def test_devices_count_over_hosts_and_buffers_within_one() -> None:
    """ggml-rpc.cpp: a device has a number of its own, a buffer type its place on its server and the address."""
    found = joined(machine(TWO_GPUS, SHARED), ["halo.lan:50052", "10.0.0.2:50052"])

    assert [gpu.name for gpu in found.gpus] == ["RPC0", "RPC1", "RPC2", "CUDA0"]
    assert [gpu.buffer_type for gpu in found.gpus] == [
        "RPC0[halo.lan:50052]",
        "RPC0[10.0.0.2:50052]",
        "RPC1[10.0.0.2:50052]",
        "CUDA0",
    ]
    assert joined_addresses(found) == ("halo.lan:50052", "10.0.0.2:50052")


def test_memory_of_a_host_is_no_memory_of_this_machine() -> None:
    """A GPU that draws on RAM draws on that of its host, which bounds what is free."""
    found = joined(machine(SHARED), ["halo.lan:50052"])

    assert found.gpu("RPC0").room == 88 * GIB
    assert not found.gpu("RPC0").draws_on_ram
    assert found.ram is None


def test_a_host_without_gpus_offers_its_cpu() -> None:
    """tools/rpc: the CPU is offered where there is no other device."""
    found = joined(machine(NO_GPU), ["old:50052"]).gpu("RPC0")

    assert (found.endpoint_device, found.total) == ("CPU", 64 * GIB)


@examples(40)
@given(machines())
def test_joining_again_changes_nothing_and_is_taken_back(drawn: Machine) -> None:
    """Whatever was joined before, the addresses of the last time are what counts; a joined machine can be written."""
    every = [host.address for host in drawn.hosts]
    whole = joined(drawn, every)

    assert joined(whole, every) == whole
    assert joined(whole, ()) == drawn
    assert joined(whole, every[:1]) == joined(drawn, every[:1])
    assert Machine.from_dict(whole.to_dict()) == whole


def test_a_host_may_be_named_in_a_file(tmp_path: Path) -> None:
    """As a profile, or as a file beside this one; what is written has it in full."""
    (tmp_path / "there.toml").write_text('name = "there"\n[[gpus]]\nname = "CUDA0"\ntotal_mib = 8192\n')
    text = 'name = "main"\n[[hosts]]\naddress = "a:1"\nlink_gbs = 1.25\nlatency_us = 60\nmachine = "{}"\n'
    (tmp_path / "main.toml").write_text(text.format("there.toml"))

    named = load_machine(tmp_path / "main.toml")
    shipped = parse_machine(text.format("single-3090"))

    assert named.hosts[0].machine.gpus[0].total == 8192 * MIB
    assert (named.hosts[0].link_bandwidth, named.hosts[0].latency_us) == (1.25e9, 60)
    assert shipped.hosts[0].machine == load_machine("single-3090")
    assert parse_machine(machine_toml(named)) == named


def test_a_file_that_names_itself_is_refused(tmp_path: Path) -> None:
    """And not read for ever."""
    path = tmp_path / "main.toml"
    path.write_text('name = "main"\n[[hosts]]\naddress = "a:1"\nmachine = "main.toml"\n')

    with pytest.raises(InputError, match=r"hosts\[0\].machine"):
        load_machine(path)


def test_an_address_that_no_host_has_is_passed_over() -> None:
    """What it offers is not known, which the footprint says."""
    plain = machine(TWO_GPUS)

    assert joined(plain, ["10.9.9.9:50052"]) == plain
    assert replace(joined(plain, ["10.0.0.2:50052"]), gpus=plain.gpus) == plain

"""Several machines in words: counts, what lies between them, and where each begins."""

from __future__ import annotations

import pytest

import omniplan
from omniplan.machines.probe.several import apart

# The cards here; for each host its cards, and the link in Gbit/s.
READ: list[tuple[str, list[str], list[list[str]], float | None]] = [
    ("two Strix Halo over RPC", ["Radeon 8060S"], [["Radeon 8060S"]], None),
    ("2x DGX Spark", ["GB10"], [["GB10"]], None),
    ("Strix Halo x3, 128 GB, over 5 GbE", ["Radeon 8060S"], [["Radeon 8060S"]] * 2, 5),
    ("2 x Strix Halo 128 GB (USB4 network)", ["Radeon 8060S"], [["Radeon 8060S"]], None),
    ("two RTX 3090 PCs over LAN", ["RTX 3090"], [["RTX 3090"]], None),
    ("RTX 4090, 64 GB, second machine: RTX 3090, 32 GB, 2.5 GbE", ["RTX 4090"], [["RTX 3090"]], 2.5),
    ("RTX 4090, 64 GB + another PC with 2x RTX 3090, 64 GB over RPC", ["RTX 4090"], [["RTX 3090"] * 2], None),
    ("2x 3090, 64GB, RPC host with 2x 3090 and 64GB", ["RTX 3090"] * 2, [["RTX 3090"] * 2], None),
    ("M3 Ultra + another machine: M3 Ultra over Thunderbolt", ["Apple M3 Ultra"], [["Apple M3 Ultra"]], None),
    ("3x RTX 3090, 128 GB DDR4", ["RTX 3090"] * 3, [], None),
]  # fmt: skip


@pytest.mark.parametrize(("words", "here", "there", "gbit"), READ, ids=[row[0] for row in READ])
def test_machines_and_the_network_between(
    words: str, here: list[str], there: list[list[str]], gbit: float | None
) -> None:
    """A chip that is a whole machine is one each; cards of one box stay together unless there is a network."""
    found = omniplan.machine_from_words(words)

    assert [gpu.description for gpu in found.gpus] == here
    assert [[gpu.description for gpu in host.machine.gpus] for host in found.hosts] == there
    assert {host.link_bandwidth for host in found.hosts} <= {None if gbit is None else gbit * 1e9 / 8}


def test_what_was_not_said_is_said() -> None:
    """Addresses that stand for others, and a network nobody named."""
    notes = omniplan.machine_from_words("two Strix Halo over RPC").notes

    assert any("host-2:50052" in note for note in notes)
    assert any("network between hosts not named" in note for note in notes)


def test_addresses_may_be_said() -> None:
    """In the order of the hosts; then nothing stands for them."""
    found = omniplan.machine_from_words("3x Strix Halo 128 GB at 10.0.0.2:50052 and 10.0.0.3:50053, 10 GbE")

    assert [host.address for host in found.hosts] == ["10.0.0.2:50052", "10.0.0.3:50053"]
    assert not any("stand for them" in note for note in found.notes)


def test_words_of_one_machine_are_left_alone() -> None:
    """Byte for byte."""
    text = "2x RTX 3090 + Ryzen 9 5950X, 64 GB DDR4-3600, PCIe 4.0 x8"

    assert apart(text).machines == (text,)
    assert omniplan.machine_from_words(text).hosts == ()

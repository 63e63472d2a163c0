"""The shipped machine profiles: each loads, adds up, and leaves the memory that was measured."""

import pytest

from omniplan.domain.machine import Machine
from omniplan.errors import InputError
from omniplan.machines.files import load_machine, shipped

FREE_MIB = {
    "omni-nps1": (97250, 32100),
    "omni-nps4": (97250, 32100),
    "dual-4090-5070ti": (23671, 12761),
    "single-3090": (24150,),
    "quad-3090": (24150,) * 4,
    "h100": (80900,),
    "cpu-only": (),
}


def test_every_profile_has_its_measured_free_memory() -> None:
    assert set(shipped()) == set(FREE_MIB)


@pytest.mark.parametrize("name", FREE_MIB)
def test_profile_adds_up(name: str) -> None:
    """Total less reserved is free; nodes hold no more than the machine; cores of nodes are those of the CPU."""
    machine = load_machine(name)

    assert machine.name == name
    assert machine.source
    assert tuple(gpu.free >> 20 for gpu in machine.gpus) == FREE_MIB[name]
    for gpu in machine.gpus:
        assert gpu.total - sum(item.size for item in gpu.reserved) == gpu.free
        assert gpu.compute_capability
        assert gpu.bandwidth
    assert machine.memory is not None
    assert machine.cpu is not None
    assert 0 < machine.memory.available < machine.memory.total
    nominal = machine.memory.nominal_bandwidth
    assert machine.memory.bandwidth is not None
    assert nominal is None or machine.memory.bandwidth <= nominal
    assert sum(node.total for node in machine.numa_nodes) <= machine.memory.total
    if machine.numa_nodes:
        assert sum(node.n_cores for node in machine.numa_nodes) == machine.cpu.n_cores
        assert sum(node.n_threads for node in machine.numa_nodes) == machine.cpu.n_threads


@pytest.mark.parametrize("name", FREE_MIB)
def test_profile_survives_being_written(name: str) -> None:
    machine = load_machine(name)

    assert Machine.from_dict(machine.to_dict()) == machine


def test_an_unknown_profile_names_the_shipped_ones() -> None:
    with pytest.raises(InputError, match=r"no such profile.*cpu-only.*single-3090"):
        load_machine("nowhere.toml")

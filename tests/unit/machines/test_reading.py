"""Machines from plain data: round trips, and errors that name the path inside the file."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniplan.domain.machine import Machine
from omniplan.errors import InputError
from omniplan.units import MIB
from tests.machines import machines
from tests.property.strategies import examples
from tests.refusals import check_one_line

GPU = {"name": "CUDA0", "total_mib": 24576}
OTHER = {"name": "CUDA1", "total_mib": 24576}


@examples(40)
@given(machines())
def test_a_machine_survives_plain_data(machine: Machine) -> None:
    assert Machine.from_dict(machine.to_dict()) == machine


def test_oracle_style_gpus_are_enough() -> None:
    """The shape other tools exchange: name, description, total, free and compute capability."""
    gpu = {**GPU, "description": "RTX 3090", "free_mib": 24150, "compute_capability": "8.6"}

    machine = Machine.from_dict({"name": "one", "gpus": [gpu]})

    assert machine.gpu("CUDA0").free == 24150 * MIB
    assert machine.gpu("CUDA0").description == "RTX 3090"
    with pytest.raises(KeyError):
        machine.gpu("CUDA1")


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no name": ({}, "name: is missing"),
    "negative size": ({"gpus": [{**GPU, "total_mib": -1}]}, r"gpus\[0\].total_mib: expected a number of 0 or more"),
    "endless size": ({"gpus": [{**GPU, "total_mib": float("inf")}]}, r"gpus\[0\].total_mib"),
    "huge size": ({"gpus": [{**GPU, "total_mib": 10**400}]}, r"gpus\[0\].total_mib"),
    "no number": ({"gpus": [{**GPU, "total_mib": float("nan")}]}, r"gpus\[0\].total_mib"),
    "text for a size": ({"gpus": [{**GPU, "total_mib": "24 GB"}]}, r"gpus\[0\].total_mib"),
    "more free than there is": ({"gpus": [{**GPU, "free_mib": 99999}]}, r"gpus\[0\].free_mib: is more than total_mib"),
    "more reserved than there is": (
        {"gpus": [{**GPU, "reserved": [{"mib": 30000, "reason": "x"}]}]},
        r"gpus\[0\].reserved: adds up to more",
    ),
    "one uuid twice": (
        {"gpus": [{**GPU, "uuid": "GPU-a"}, {**OTHER, "uuid": "GPU-A"}]},
        r"gpus\[1\].uuid: 'GPU-A' is already gpus\[0\]",
    ),
    "one slot twice": (
        {"gpus": [{**GPU, "pci": "0000:0a:00.0"}, {**OTHER, "pci": "0000:0a:00.0"}]},
        r"gpus\[1\].pci",
    ),
    "one name twice": ({"gpus": [GPU, GPU]}, r"gpus\[1\].name"),
    "a bad slot": ({"gpus": [{**GPU, "pci": "slot 3"}]}, r'gpus\[0\].pci: expected a form like "0000:0a:00.0"'),
    "a misspelt key": (
        {"gpus": [{**GPU, "totl_mib": 1}]},
        r"gpus\[0\].totl_mib: unknown key; did you mean 'total_mib'",
    ),
    "a table for a list": ({"gpus": GPU}, "gpus: expected an array of tables"),
    "cpuset without cores": ({"cpu": {"n_cores": 8, "allowed": ""}}, "cpu.allowed: names no CPU"),
    "a bad cpuset": ({"cpu": {"n_cores": 8, "allowed": "7-3"}}, "cpu.allowed: expected CPU numbers"),
    "a node without cores": (
        {"numa_nodes": [{"index": 0, "total_mib": 1, "cpus": ""}]},
        r"numa_nodes\[0\].cpus: names no CPU",
    ),
    "two nodes with one core": (
        {"numa_nodes": [{"index": i, "total_mib": 1, "cpus": "0-3"} for i in range(2)]},
        r"numa_nodes\[1\].cpus: 0-3 belong to an earlier node",
    ),
    "a node twice": ({"numa_nodes": [{"index": 0, "total_mib": 1}] * 2}, r"numa_nodes\[1\].index: 0 appears twice"),
    "distances of another machine": (
        {"numa_nodes": [{"index": 0, "total_mib": 1, "distances": [10, 21]}]},
        r"numa_nodes\[0\].distances: expected one per node",
    ),
    "a bad distance": ({"numa_nodes": [{"index": 0, "total_mib": 1, "distances": ["far"]}]}, r"distances\[0\]"),
    "a host without a port": (
        {"hosts": [{"address": "10.0.0.2", "machine": {"name": "there"}}]},
        r'hosts\[0\].address: expected a form like "10.0.0.2:50052"',
    ),
    "a host by IPv6": (
        {"hosts": [{"address": "fd00::2:50052", "machine": {"name": "there"}}]},
        r"hosts\[0\].address: expected a form",
    ),
    "a host that is no machine": ({"hosts": [{"address": "a:1"}]}, r"hosts\[0\].machine: is missing"),
    "a host by a name nobody looks up": (
        {"hosts": [{"address": "a:1", "machine": "h100"}]},
        r"hosts\[0\].machine: 'h100' is a name, which is looked up in a machine file alone",
    ),
    "one host twice": (
        {"hosts": [{"address": "a:1", "machine": {"name": "there"}}] * 2},
        r"hosts\[1\].address: a:1 is already hosts\[0\]",
    ),
    "a host with hosts": (
        {
            "hosts": [
                {"address": "a:1", "machine": {"name": "b", "hosts": [{"address": "c:1", "machine": {"name": "d"}}]}}
            ]
        },
        r"hosts\[0\].machine.hosts: a host has none of its own",
    ),
    "a wrong card at a host": (
        {"hosts": [{"address": "a:1", "machine": {"name": "there", "gpus": [{**GPU, "total_mib": -1}]}}]},
        r"hosts\[0\].machine.gpus\[0\].total_mib: expected a number of 0 or more",
    ),
    "fewer threads than cores": ({"cpu": {"n_cores": 8, "n_threads": 4}}, "cpu.n_threads: is less than n_cores"),
    "cores that do not add up": (
        {"cpu": {"n_cores": 8, "n_performance_cores": 8, "n_efficiency_cores": 16}},
        "cpu.n_performance_cores: and n_efficiency_cores make 24",
    ),
    "no time at all": ({"cpu": {"n_cores": 8, "quota": 0}}, "cpu.quota"),
    "half a core": ({"cpu": {"n_cores": 8.5}}, "cpu.n_cores: expected a whole number"),
    "a gpu on a node that is not there": (
        {"gpus": [{**GPU, "numa_node": 7}], "numa_nodes": [{"index": 0, "total_mib": 1}]},
        r"gpus\[0\].numa_node: 7 is not the index of a NUMA node",
    ),
    "an unknown basis": (
        {"memory": {"total_mib": 1, "bandwidth_basis": "felt"}},
        "memory.bandwidth_basis: expected one",
    ),
    "a bad date": ({"memory": {"total_mib": 1, "measured": "yesterday"}}, "memory.measured"),
    "yes for a flag": ({"gpus": [{**GPU, "display": "yes"}]}, r"gpus\[0\].display: expected true or false"),
    "a flag for a list": ({"notes": False}, "notes: expected an array of texts"),
}


@pytest.mark.parametrize(("raw", "message"), BAD.values(), ids=BAD.keys())
def test_bad_descriptions_name_the_path(raw: dict[str, Any], message: str) -> None:
    full = raw if not raw else {"name": "bad", **raw}

    with pytest.raises(InputError, match=message) as caught:
        Machine.from_dict(full)

    assert "\n" not in str(caught.value)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "gpus", "cpu", "mib"]), inner),
    max_leaves=8,
)
KEYS = ["gpus", "memory", "cpu", "numa_nodes", "nps", "notes", "source", "description"]


@given(st.dictionaries(st.sampled_from(KEYS), plain), st.sampled_from(["name", "other"]))
def test_anything_is_a_machine_or_an_input_error(raw: dict[str, Any], key: str) -> None:
    """Whatever a file holds, the reader raises nothing but InputError, in one line."""
    try:
        Machine.from_dict({**raw, key: "x"})
    except InputError as error:
        check_one_line(error)

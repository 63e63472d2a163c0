"""NUMA and thread advice: which rule applies to which machine, and that it cites its measurement."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniplan.domain.machine import Machine, Memory
from omniplan.domain.processor import Cpu, NumaNode
from omniplan.machines.files import load_machine
from omniplan.machines.probe.advice import Advice, advise, numa_advice, threads
from omniplan.units import GIB
from tests.machines import machines
from tests.property.strategies import examples

NPS1 = load_machine("omni-nps1")
NPS4 = load_machine("omni-nps4")
STREAMED = 200 * GIB


def _rules(found: tuple[Advice, ...]) -> list[str]:
    return [item.rule for item in found]


def _machine(
    sockets: int, per_socket: int, *, cores: int = 64, node: int = 96 * GIB, n_l3: int | None = None
) -> Machine:
    count = sockets * per_socket
    nodes = tuple(
        NumaNode(index=i, total=node, n_cores=cores // per_socket, package=i // per_socket) for i in range(count)
    )
    cpu = Cpu(n_cores=cores * sockets, n_threads=2 * cores * sockets, n_sockets=sockets, n_l3=n_l3)
    return Machine(name="m", numa_nodes=nodes, cpu=cpu, memory=Memory(total=node * count, channels=12 * sockets))


def test_nps4_is_warned_of_with_the_measurement() -> None:
    """The two profiles of one machine get different advice, and the reason cites 5.2 against 10.9 tok/s."""
    first, *rest = advise(NPS4, STREAMED)

    assert first.rule == "nps-streaming"
    assert first.severity == "warning"
    assert "NPS4: 200.00 GiB of weights stream from RAM" in first.statement
    assert "set NPS1 in the BIOS" in first.statement
    reason = first.reason()
    assert "5.2 tok/s in NPS4, 10.9 in NPS1" in reason.statement
    assert reason.source == "docs/lessons.md#s-005"
    assert "numactl --hardware" in first.check
    assert "never-membind" in _rules(tuple(rest))


def test_nps1_is_left_alone() -> None:
    found = advise(NPS1, STREAMED)

    assert all(item.severity != "warning" for item in found)
    assert "nps-one" in _rules(found)
    assert "numa-useless" in _rules(found)
    assert any("10.9" in item.reason().statement for item in found)


def test_nps4_does_not_matter_when_all_is_on_the_gpus() -> None:
    assert _rules(advise(NPS4, 0)) == ["numa-useless"]
    assert _rules(advise(NPS1, 0)) == ["gpu-only"]


@pytest.mark.parametrize(
    ("machine", "streamed", "expected"),
    [
        (_machine(1, 2), 50 * GIB, ["nps-streaming", "numa-distribute"]),
        (_machine(1, 12, n_l3=12), 50 * GIB, ["l3-as-numa", "numa-distribute"]),
        (_machine(2, 1), 50 * GIB, ["one-socket"]),
        (_machine(2, 1), 150 * GIB, ["interleave", "never-membind"]),
        (_machine(2, 4), 50 * GIB, ["nps-streaming", "one-socket"]),
        (Machine(name="unknown"), 50 * GIB, []),
    ],
)
def test_which_numa_rule_applies(machine: Machine, streamed: int, expected: list[str]) -> None:
    assert _rules(numa_advice(machine, streamed)) == expected


def test_one_socket_is_named_by_its_nodes() -> None:
    (found,) = (item for item in numa_advice(_machine(2, 4), 50 * GIB) if item.rule == "one-socket")

    assert "--cpunodebind=0,1,2,3 --membind=0,1,2,3" in found.statement


def test_desktops_are_not_told_about_nps() -> None:
    assert _rules(numa_advice(load_machine("dual-4090-5070ti"), 30 * GIB)) == ["numa-useless"]


THREADS = {
    # 96 cores saturate at 64; prompts use them all.
    "9995WX": (NPS1.cpu, 64, 96),
    "5800X3D": (Cpu(n_cores=8, n_threads=16), 8, 8),
    "two sockets decode on one": (Cpu(n_cores=64, n_threads=128, n_sockets=2), 32, 64),
    "hybrid": (Cpu(n_cores=24, n_threads=32, n_performance_cores=8, n_efficiency_cores=16), 8, 24),
    "a cpuset of four threads on two cores": (Cpu(n_cores=8, n_threads=16, allowed="0-3", allowed_cores=2), 2, 2),
    "a cpuset whose cores are unknown": (Cpu(n_cores=8, n_threads=16, allowed="0-3"), 4, 4),
    "a quota of 2.5 CPUs": (Cpu(n_cores=8, n_threads=16, quota=2.5), 2, 2),
    "a quota below one CPU": (Cpu(n_cores=8, n_threads=16, quota=0.5), 1, 1),
    "63 cores": (Cpu(n_cores=63, n_threads=63), 62, 63),
    "unknown": (Cpu(model="?"), None, None),
    "no CPU": (None, None, None),
}


@pytest.mark.parametrize(("cpu", "decode", "batch"), THREADS.values(), ids=THREADS.keys())
def test_thread_counts(cpu: Cpu | None, decode: int | None, batch: int | None) -> None:
    found = threads(Machine(name="m", cpu=cpu), STREAMED)

    assert (found.decode, found.batch) == (decode, batch)


def test_odd_counts_are_explained() -> None:
    found = threads(Machine(name="m", cpu=Cpu(n_cores=63, n_threads=63)), STREAMED)

    (even,) = (item for item in found.advice if item.rule == "even-threads")
    assert even.statement == "an even number of threads: 63 became 62"


@examples(40)
@given(machines(), st.integers(0, 1 << 42))
def test_threads_never_exceed_what_is_allowed(machine: Machine, streamed: int) -> None:
    """Decode threads are no more than batch threads, and neither more than the physical cores."""
    found = threads(machine, streamed)
    if machine.cpu is None:
        assert found.decode is None
        return

    assert found.decode is not None
    assert found.batch is not None
    assert 1 <= found.decode <= found.batch <= machine.cpu.n_cores
    assert found.batch <= (machine.cpu.allowed_cores or found.batch)
    assert found.decode <= 64


@examples(40)
@given(machines(), st.integers(0, 1 << 42))
def test_advice_is_complete_sentences(machine: Machine, streamed: int) -> None:
    """Every blank is filled, warnings come first, every item has a source."""
    found = advise(machine, streamed)

    for item in found:
        assert "{" not in item.statement + item.check
        assert item.source
    ranks = [["warning", "advice", "note"].index(item.severity) for item in found]
    assert ranks == sorted(ranks)


def test_membind_is_only_warned_of_where_it_would_not_fit() -> None:
    assert "never-membind" not in _rules(numa_advice(NPS4, 90 * GIB))
    assert "never-membind" in _rules(numa_advice(NPS4, 95 * GIB))


def test_nodes_of_unknown_size_warn_of_nothing() -> None:
    nodes = tuple(replace(node, total=0) for node in NPS4.numa_nodes)

    assert "never-membind" not in _rules(numa_advice(replace(NPS4, numa_nodes=nodes), STREAMED))

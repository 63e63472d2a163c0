"""Rules about RAM, threads and NUMA nodes, at the figures where they begin to speak."""

from __future__ import annotations

from dataclasses import replace

import pytest

import omniplan
from omniplan.check import document
from omniplan.check.engine import check
from omniplan.domain.footprint import RAM
from omniplan.domain.machine import Machine, Memory
from omniplan.domain.processor import Cpu, NumaNode
from omniplan.units import GIB, MIB
from tests.oracle import cases

MODEL = "Qwen3-0.6B-Q8_0"
# Nothing on GPUs, so that all of it is in RAM.
ON_CPU = ("-c", "4096", "-np", "1", "-ngl", "0", "--fit", "off")


def host(*, ram: int = 64 * GIB, nodes: int = 1, cores: int = 16) -> Machine:
    """A machine without GPUs; its cores are shared out over its nodes."""
    each = NumaNode(index=0, total=ram // nodes, n_cores=cores // nodes)
    return Machine(
        name="host",
        memory=Memory(total=ram),
        cpu=Cpu(n_cores=cores, n_threads=2 * cores),
        numa_nodes=tuple(replace(each, index=index) for index in range(nodes)),
    )


def held() -> int:
    """Bytes of RAM that the command takes."""
    priced = omniplan.footprint(cases.model(MODEL), host(), list(ON_CPU))
    return next(pool.used for pool in priced.pools if pool.name == RAM)


def says(rule: str, machine: Machine, *args: str, prefix: str = "") -> list[str]:
    """What the rule has to say of a command, behind ``prefix`` in a script if there is one."""
    if prefix:
        command = document.read("run.sh", f"{prefix} llama-server -m x {' '.join((*ON_CPU, *args))}\n")
    else:
        command = document.of_arguments((*ON_CPU, *args), {})
    return [item.message for item in check(command, model=cases.model(MODEL), machine=machine, only={rule}).of(rule)]


def test_the_prompt_cache_has_what_is_left_but_one_gigabyte() -> None:
    """To the mebibyte; none at all is no finding, and no limit always is."""
    machine = host(ram=held() + GIB + 100 * MIB)

    assert not says("prompt-cache-over-ram", machine, "-cram", "100")
    assert "up to" in says("prompt-cache-over-ram", machine, "-cram", "101")[0]
    assert not says("prompt-cache-over-ram", machine, "-cram", "0")
    assert "without a limit" in says("prompt-cache-over-ram", host(), "-cram", "-1")[0]
    assert not says("prompt-cache-over-ram", host(ram=held() - MIB), "-cram", "101")


def test_ram_is_tight_below_what_a_plan_keeps_of_it() -> None:
    """To the byte, so that no plan is contradicted; beyond all of it something does not fit, another finding."""
    used, rule = held(), "tight-without-mmap"

    assert not says(rule, host(ram=used + 2 * GIB), "--load-mode", "mlock")
    assert says(rule, host(ram=used + 2 * GIB - 1), "--load-mode", "mlock")
    assert says(rule, host(ram=used), "--load-mode", "none")
    assert not says(rule, host(ram=used - 1), "--load-mode", "none")
    assert not says(rule, host(ram=used), "--load-mode", "mmap")


@pytest.mark.parametrize(
    ("args", "prefix", "found"),
    [
        (("-t", "16"), "", 0),
        (("-t", "17"), "", 1),
        (("-t", "17", "-tb", "17"), "", 2),
        (("-t", "0"), "", 1),
        (("-t", "8"), "numactl --cpunodebind=1", 0),
        (("-t", "9"), "numactl --cpunodebind=1", 1),
        (("-t", "9"), "numactl -N 0,1", 0),
        (("-t", "9"), "numactl -N1", 1),
        (("-t", "9"), "numactl --interleave=all", 0),
        ((), "numactl -N 1", 0),
    ],
)
def test_threads_are_held_against_the_cores_that_are_there(args: tuple[str, ...], prefix: str, found: int) -> None:
    """Of the machine, or of the nodes that the command is bound to."""
    assert len(says("threads-over-cores", host(nodes=2), *args, prefix=prefix)) == found


def test_two_nodes_are_several() -> None:
    """Weights in RAM stream over two nodes, and not over one; less than a gigabyte is the look-up of a token."""
    large = omniplan.load_model("tests/data/models/zoo/Llama-3.3-70B-Q4_K_M.gguf")

    def found(nodes: int, model: omniplan.Model) -> int:
        command = document.of_arguments(ON_CPU, {})
        rule = "streams-over-numa-nodes"
        return len(check(command, model=model, machine=host(nodes=nodes), only={rule}).of(rule))

    assert [found(nodes, large) for nodes in (1, 2)] == [0, 1]
    assert found(2, cases.model(MODEL)) == 0


def test_memory_of_a_node_must_hold_what_is_in_ram() -> None:
    """To the byte, of one node or of several together."""
    used, rule = held(), "membind-too-small"

    assert not says(rule, host(ram=2 * used, nodes=2), prefix="numactl --membind=0")
    assert says(rule, host(ram=2 * used - 2, nodes=2), prefix="numactl --membind=0")
    assert not says(rule, host(ram=2 * used - 2, nodes=2), prefix="numactl -m 0,1")
    assert "nothing here says" in says(rule, host(), prefix="numactl -m 7")[0]


def test_numa_does_something_on_several_nodes_with_weights_in_ram() -> None:
    """On one node, or with next to nothing in RAM, it is said to be useless."""
    assert "one NUMA node" in says("numa-useless", host(), "--numa", "distribute")[0]
    assert "on the GPUs" in says("numa-useless", host(nodes=2), "--numa", "distribute")[0]
    assert not says("numa-useless", host(nodes=2))

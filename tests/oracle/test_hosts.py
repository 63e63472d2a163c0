"""``--rpc``: what llama.cpp counted over real rpc-servers, recorded, and what it counts when it is asked again.

``python -m tests.oracle.hosts LIBRARY`` records all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

import pytest

import omniplan
from omniplan.certify.library import Library
from omniplan.certify.simulate import simulate
from omniplan.certify.values import Tally, compare
from omniplan.certify.wheel import find
from omniplan.domain.hosts import joined
from omniplan.domain.machine import Machine
from omniplan.errors import ArgumentError
from omniplan.llamacpp.build import known
from tests.oracle import cases, drift, hosts
from tests.oracle.cases import Case, differences
from tests.rpc_server import servers

PACKAGE: Final = "llama-cpp-py-sync"
BUILD: Final = known(11739).number
ALL: Final = cases.load("hosts")
# Weights, cache and compute buffers that a server holds, and RAM.
PLACE: Final = "hosts-alone"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The libraries of a wheel that comes with RPC."""
    try:
        found = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{PACKAGE} is not installed, which has llama.cpp's rpc-server")
    folder = Path(str(found.locate_file(PACKAGE.replace("-", "_"))))
    return find(str(folder), tmp_path_factory.mktemp("library"), build=int(found.version.rpartition(".")[2]))


@pytest.fixture(scope="module")
def addresses(library: Library) -> Iterator[dict[str, str]]:
    """Two running servers, by the addresses of the cases."""
    with servers(Path(library.path).parent, tuple(hosts.OFFERED.values())) as found:
        yield dict(zip(hosts.OFFERED, found, strict=True))


@pytest.mark.parametrize("case", ALL, ids=cases.label)
def test_every_figure_of_the_library(case: Case) -> None:
    """Layers, three columns of every buffer, splits of both graphs, copies and context, to the byte."""
    assert differences(case, BUILD) == []


def test_there_are_enough_cases() -> None:
    """Of one, two and three devices of others, and of both together with this host's GPUs."""
    used = {tuple(sorted(name for name in case["buffers"] if name[-1].isdigit())) for case in ALL}

    assert len(ALL) >= 50
    assert {("RPC0",), ("RPC0", "RPC1"), ("RPC0", "RPC1", "RPC2"), ("CUDA1", "RPC1")} <= used
    assert ("CUDA0", "CUDA1", "RPC0", "RPC1", "RPC2") in used


def test_running_servers_are_asked_again(library: Library, addresses: dict[str, str]) -> None:
    """What is recorded is what llama.cpp counts over two servers on loopback."""
    case = next(case for case in ALL if "llama-dense" in case["model"] or "Qwen3-0.6B" in case["model"])

    assert drift.row(hosts.ask(case, library, addresses)) == case


def test_a_model_loads_over_hosts_as_emitted(library: Library, addresses: dict[str, str], tmp_path: Path) -> None:
    """A whole model, its bytes sent to both servers by the arguments as written, lies there as priced."""
    pytest.importorskip("gguf")
    from tests.real.tiny import write_tiny

    model = omniplan.load_model(write_tiny(tmp_path / "tiny.gguf"))
    machine = hosts.machine_at(PLACE, addresses)
    args = ("-c", "1024", "-np", "1", "-ngl", "99", "--rpc", ",".join(addresses.values()), "-ts", "2,1,1")

    loaded = simulate(model, machine, args, env={}, timeout=60, no_alloc=False, library=library)
    priced = omniplan.footprint(model, machine, args, build=BUILD)

    assert [c for c in compare(Tally.of(priced), loaded) if c.planned != c.counted] == []
    assert set(priced.layers) == {"RPC0", "RPC1", "RPC2"}
    assert priced.fits is True


def test_devices_of_hosts_are_named_by_buffer_type_in_overrides() -> None:
    """A device's name is no buffer type, as llama-server has it, and the error says what is."""
    with pytest.raises(ArgumentError, match=r"unknown buffer type 'RPC1'.*RPC0\[one:50052\], RPC0\[two:50052\]"):
        omniplan.footprint(
            cases.model("archs/llama-dense.gguf"),
            cases.machines()[PLACE],
            ["-ngl", "99", "--rpc", "one:50052,two:50052", "-ot", "ffn=RPC1"],
        )


def test_a_host_nobody_describes_is_not_known() -> None:
    """It never fits, and it never does not: what is there is not known."""
    machine: Machine = cases.machines()[PLACE]
    args = ["-c", "512", "-ngl", "99", "--rpc", "one:50052,three:50052"]

    priced = omniplan.footprint(cases.model("archs/llama-dense.gguf"), machine, args)

    assert priced.fits is None
    assert [item.what for item in priced.unpriced] == [
        "the devices of three:50052, which no [[hosts]] of the machine describes"
    ]
    assert joined(machine, ["three:50052"]) == machine

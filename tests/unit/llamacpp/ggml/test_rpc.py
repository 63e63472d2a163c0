"""Devices of other hosts: what they keep of their own back end, and what RPC leaves out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import omniplan
from omniplan.domain.hosts import joined
from omniplan.domain.machine import Host, Machine
from omniplan.llamacpp.ggml.registry import BACKENDS, backend_name, backend_of, cpu, device, host
from omniplan.llamacpp.ggml.rpc import rpc
from tests.oracle.cases import model
from tests.property.strategies import examples

ADDRESS = "10.0.0.2:50052"
DENSE = model("llama-dense")
ARGS = ("-c", "4096", "-np", "1", "-ngl", "99", "--rpc", ADDRESS, "--fit", "off")


def machine(*names: str, here: str = "CUDA0") -> Machine:
    """A GPU here, and one of each of ``names`` on another host."""

    def gpu(name: str) -> dict[str, object]:
        return {"name": name, "total_mib": 24576, "compute_capability": "8.6" if name.startswith("CUDA") else ""}

    there = Machine.from_dict({"name": "there", "gpus": [gpu(name) for name in names]})
    main = Machine.from_dict({"name": "here", "gpus": [gpu(here)], "memory": {"total_mib": 65536}})
    return replace(main, hosts=(Host(address=ADDRESS, machine=there),))


@pytest.mark.parametrize("name", sorted(BACKENDS))
def test_memory_is_the_servers_and_the_rest_is_plain(name: str) -> None:
    """Asked for by the client; kernels are not, and nothing is pinned, offloaded or reordered."""
    server, found = BACKENDS[name], rpc(BACKENDS[name])

    assert found.memory == server.memory
    assert (found.host, found.offload_batch, found.optimizer, found.in_place) == (None, None, None, False)
    assert found is rpc(server)


def test_the_back_end_is_that_of_the_name_there() -> None:
    """RPC0 is a number over all hosts; what it is, its own host knows."""
    first, second, own = joined(machine("ROCm0", "CUDA0"), [ADDRESS]).gpus

    assert [backend_name(gpu) for gpu in (first, second, own)] == ["rocm", "cuda", "cuda"]
    assert backend_of(first) is rpc(BACKENDS["rocm"])


def test_the_first_gpu_here_pins_ram_and_the_first_device_says_where_inputs_lie() -> None:
    """Weights on the CPU go to CUDA's pinned RAM, the CPU's own results to plain RAM, since RPC0 comes first."""
    devices = [device(gpu) for gpu in joined(machine("CUDA0"), [ADDRESS]).gpus]

    found = host(devices)
    assert found is not None
    assert found.name == "cuda"
    assert cpu(devices).buffer == "CPU"


@pytest.mark.parametrize(("build", "copies"), [("b11434", 4), ("b11549", 4)])
def test_pipelines_of_builds_that_send_without_waiting(build: str, copies: int) -> None:
    """Protocol 6.0 and later; an override ends it as anywhere."""
    asked = machine("CUDA0")

    assert omniplan.footprint(DENSE, asked, ARGS, build=build).sched_copies == copies
    assert omniplan.footprint(DENSE, asked, [*ARGS, "-ot", "zzz=CPU"], build=build).sched_copies == 1


def test_no_pipeline_before() -> None:
    """b9093 has protocol 4.0, in which every message waits."""
    assert omniplan.footprint(DENSE, machine("CUDA0"), ARGS, build="b9093").sched_copies == 1


def test_a_back_end_without_a_price_stays_without_one() -> None:
    """Behind RPC too."""
    priced = omniplan.footprint(DENSE, machine("CANN0"), ARGS)

    assert priced.fits is None


@examples(30)
@given(
    shares=st.lists(st.integers(1, 9), min_size=3, max_size=3), tokens=st.sampled_from([512, 4096]), n=st.integers(1, 4)
)
def test_weights_and_caches_are_the_same_bytes_wherever_they_lie(shares: list[int], tokens: int, n: int) -> None:
    """Over CUDA here or on another host: the same alignment, so the same sums for the same split."""
    split = ",".join(map(str, shares))
    there = joined(machine("CUDA0", "CUDA1"), [ADDRESS])
    here = replace(
        there, hosts=(), gpus=tuple(replace(gpu, name=f"CUDA{at}", endpoint="") for at, gpu in enumerate(there.gpus))
    )
    args = ["-c", str(tokens), "-np", str(n), "-ngl", "99", "-ts", split, "--fit", "off"]

    far = omniplan.footprint(DENSE, there, [*args, "--rpc", ADDRESS])
    near = omniplan.footprint(DENSE, here, args)

    for remote, local in (("RPC0", "CUDA0"), ("RPC1", "CUDA1"), ("CUDA0", "CUDA2")):
        assert far.buffers[remote].model == near.buffers[local].model
        assert far.buffers[remote].context == near.buffers[local].context

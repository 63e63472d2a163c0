"""Back ends side by side: each device answers for itself."""

from __future__ import annotations

import pytest

from omniplan.domain.machine import Gpu
from omniplan.llamacpp.ggml import registry
from omniplan.llamacpp.ggml.allocate import allocate
from omniplan.llamacpp.ggml.backend import Backend, Device
from omniplan.llamacpp.ggml.buffers import BufferType
from omniplan.llamacpp.ggml.cuda import CUDA
from omniplan.llamacpp.ggml.prepared import Prepared
from omniplan.llamacpp.ggml.schedule import assign
from omniplan.llamacpp.ggml.splits import schedule
from tests.unit.llamacpp.ggml.graphs import GPU0, HOST, cpu, given, homes, tensor, weight

# It multiplies and does nothing else, and its memory comes in pages.
MULTIPLIER = Backend(
    name="multiplier",
    memory=BufferType(alignment=4096),
    supports=lambda node: node.op == "MUL_MAT",
    scratch=lambda *_: 0,
)
OTHER = Device(name="M0", backend=MULTIPLIER, buffer="M0", memory=MULTIPLIER.memory)
PRODUCT = tensor("MUL_MAT", (64, 40), weight("a", 64, 64), given("x", 64, 40))
NORM = tensor("RMS_NORM", (64, 40), PRODUCT)


@pytest.mark.parametrize(
    ("name", "stated", "expected"),
    [
        ("CUDA0", "", "cuda"),
        ("MTL0", "", "metal"),
        ("Other1", "", "other"),
        ("RPC0[host:50052]", "", "rpc"),
        ("CUDA0", "rocm", "rocm"),
    ],
)
def test_the_name_says_the_back_end_unless_the_machine_does(name: str, stated: str, expected: str) -> None:
    """llama.cpp numbers devices behind the name of their back end."""
    assert registry.backend_name(Gpu(name=name, description="", total=1, free=1, backend=stated)) == expected


def test_a_device_runs_what_its_own_back_end_has_kernels_for() -> None:
    """One without a kernel leaves the node to the next device, CUDA or the CPU."""
    where = homes({"a": "M0"}, OTHER, GPU0, HOST)

    assert assign(Prepared([PRODUCT, NORM]), where)[:2] == [0, 1]


@pytest.mark.parametrize(("devices", "expected"), [((GPU0, HOST), 0), ((OTHER, HOST), 1), ((OTHER, GPU0, HOST), 1)])
def test_a_device_asks_for_weights_in_ram_only_if_its_back_end_offloads(
    devices: tuple[Device, ...], expected: int
) -> None:
    """The first that asks takes the work over."""
    assert assign(Prepared([PRODUCT]), homes({"a": "CPU"}, *devices))[0] == expected


def test_results_are_cut_up_as_the_memory_they_lie_in() -> None:
    """The same graph takes whole pages where memory comes in pages."""
    sizes = {
        device: allocate(schedule(Prepared([PRODUCT]), homes({"a": device.name}, device, HOST))).nbytes[0]
        for device in (GPU0, OTHER)
    }

    assert sizes == {GPU0: 2 * 64 * 40 * 4, OTHER: 2 * 3 * 4096}


def test_the_cpu_writes_to_what_the_first_device_copies_from() -> None:
    """Pinned memory of the first device, plain RAM where that has none."""
    assert registry.cpu((GPU0, OTHER)) == cpu()
    assert registry.cpu((OTHER, GPU0)) == registry.cpu(()) == cpu(is_pinned=False)
    assert registry.host((OTHER, GPU0)) is CUDA

"""NVIDIA GPUs through NVML and through a saved nvidia-smi: the same rows, whoever reads them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniplan.errors import InputError
from omniplan.machines.probe.nvidia_smi import parse_smi
from omniplan.machines.probe.nvml import IDLE_LINK, NvmlMissing, read_gpus, short_pci
from tests.fakes import MIB, FakeGpu, FakeNvml
from tests.refusals import check_one_line

SAMPLE = Path(__file__).parents[3] / "data" / "machines" / "nvidia-smi.xml"


def test_a_gpu_with_everything() -> None:
    fake = FakeNvml((FakeGpu(used=3000 * MIB, processes=((408, 2500 * MIB), (1, 100 * MIB)), display=1),))

    (gpu,), notes = read_gpus(fake)

    assert (gpu.name, gpu.description, gpu.compute_capability) == ("NVML0", "RTX 4090", "8.9")
    assert (gpu.uuid, gpu.pci) == ("GPU-1", "0000:0a:00.0")
    assert (gpu.pcie_generation, gpu.pcie_width, gpu.pcie_generation_max, gpu.pcie_width_max) == (1, 16, 4, 16)
    assert (gpu.power_limit, gpu.is_display) == (450.0, True)
    assert [(row.kind, row.reason, row.size // MIB) for row in gpu.reserved] == [
        ("driver", "driver", 428),
        ("process", "process 1", 100),
        ("process", "process 408 llama-server", 2500),
        ("process", "in use, by nothing NVML names", 400),
    ]
    assert gpu.free == gpu.total - sum(row.size for row in gpu.reserved)
    assert notes == (f"RTX 4090: PCIe 1.0 now, 4.0 possible; {IDLE_LINK}",)
    assert fake.calls == ["init", "shutdown"]


def test_older_bindings_return_bytes_and_know_no_second_version() -> None:
    fake = FakeNvml((FakeGpu(name=b"NVIDIA GeForce RTX 3090", total=24576 * MIB),))
    fake.nvmlMemory_v2 = 0

    (gpu,), _ = read_gpus(fake)

    assert gpu.description == "RTX 3090"
    assert [row.reason for row in gpu.reserved] == ["in use, by nothing NVML names"]


def test_what_a_gpu_does_not_support_stays_unknown() -> None:
    """GB10 has no framebuffer memory of its own; laptops hide power and links."""
    gpu = FakeGpu(name="NVIDIA GB10", capability=(12, 1), missing=frozenset({"memory", "pcie", "power", "processes"}))

    (seen,), notes = read_gpus(FakeNvml((gpu,)))

    assert (seen.total, seen.is_unified) == (0, True)
    assert (seen.pcie_generation, seen.power_limit, seen.reserved) == (None, None, ())
    assert notes == ()


@pytest.mark.parametrize("used", [None, 0xFFFFFFFFFFFFFFFF])
def test_hidden_process_memory_is_nobodys(used: int | None) -> None:
    """In a container and on Windows NVML names processes without sizes."""
    (gpu,), _ = read_gpus(FakeNvml((FakeGpu(used=1000 * MIB, processes=((7, used),)),)))

    assert [row.reason for row in gpu.reserved] == ["driver", "in use, by nothing NVML names"]


def test_a_driver_that_does_not_start_says_so() -> None:
    with pytest.raises(NvmlMissing, match="NVML does not start: code 9"):
        read_gpus(FakeNvml(broken=9))


def test_this_host() -> None:
    """The real library, wherever there is an NVIDIA GPU."""
    pytest.importorskip("pynvml")
    try:
        gpus, _ = read_gpus()
    except NvmlMissing as error:
        pytest.skip(str(error))

    for gpu in gpus:
        assert gpu.uuid.startswith("GPU-")
        assert gpu.pci
        assert 0 <= gpu.free <= gpu.total


@given(st.integers(0, 30000), st.integers(0, 30000), st.lists(st.integers(0, 30000), max_size=3))
def test_rows_always_add_up(reserved: int, used: int, processes: list[int]) -> None:
    """Processes may claim more than is in use; total less rows is still what is free."""
    total = reserved + used + 1000
    fake = FakeGpu(
        total=total * MIB,
        reserved=reserved * MIB,
        used=used * MIB,
        processes=tuple((pid + 2, size * MIB) for pid, size in enumerate(processes)),
    )

    (gpu,), _ = read_gpus(FakeNvml((fake,)))

    assert gpu.free == 1000 * MIB == gpu.total - sum(row.size for row in gpu.reserved)


def test_a_saved_nvidia_smi() -> None:
    gpus, notes = parse_smi(SAMPLE.read_text())

    first, second = gpus
    assert (first.name, first.description, first.pci) == ("NVML0", "RTX 5090", "0000:11:00.0")
    assert (first.pcie_generation, first.pcie_generation_max, first.power_limit) == (1, 5, 575.0)
    assert [(row.reason, row.size // MIB) for row in first.reserved] == [
        ("driver", 507),
        ("process 408 llama-server", 1500),
        ("in use, by nothing nvidia-smi names", 100),
    ]
    assert first.is_display
    assert (second.free // MIB, second.uuid[:8]) == (97250, "GPU-6000")
    assert len(notes) == 1


def test_both_readers_agree() -> None:
    """NVML's fake with the file's numbers gives the file's GPU, but for the compute capability the file lacks."""
    fake = FakeGpu(
        name="NVIDIA GeForce RTX 5090",
        uuid="GPU-5090aaaa-0000-0000-0000-000000000001",
        bus="00000000:11:00.0",
        total=32607 * MIB,
        reserved=507 * MIB,
        used=1600 * MIB,
        capability=(12, 0),
        link=(1, 16, 5, 16),
        display=1,
        processes=((408, 1500 * MIB),),
    )

    (by_nvml,), _ = read_gpus(FakeNvml((fake,)))

    by_file = parse_smi(SAMPLE.read_text())[0][0]
    rows = tuple(replace(row, reason=row.reason.replace("nvidia-smi", "NVML")) for row in by_file.reserved)
    assert replace(by_file, compute_capability="12.0", power_limit=450.0, reserved=rows) == by_nvml


HOSTILE = {
    "another document": ("<topology/>", "expected <nvidia_smi_log>"),
    "no GPU": ("<nvidia_smi_log/>", "lists no <gpu>"),
    "no memory": ("<nvidia_smi_log><gpu/></nvidia_smi_log>", r"gpu\[0\].fb_memory_usage.total: expected a size"),
    "negative memory": (
        "<nvidia_smi_log><gpu><fb_memory_usage><total>-5 MiB</total></fb_memory_usage></gpu></nvidia_smi_log>",
        r"gpu\[0\].fb_memory_usage.total: expected a size such as 24564 MiB, got '-5 MiB'",
    ),
    "memory in words": (
        "<nvidia_smi_log><gpu><fb_memory_usage><total>much</total></fb_memory_usage></gpu></nvidia_smi_log>",
        "expected a size",
    ),
}


@pytest.mark.parametrize(("text", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_files_are_one_line(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_smi(text, where="smi.xml")


@given(st.data())
def test_any_damage_is_an_input_error(data: st.DataObject) -> None:
    text = SAMPLE.read_text()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 300)))

    try:
        parse_smi(text[:start] + data.draw(st.text("<>9 MiBx.-", max_size=6)) + text[end:])
    except InputError as error:
        check_one_line(error)


@pytest.mark.parametrize(
    ("busid", "expected"),
    [
        ("00000000:0A:00.0", "0000:0a:00.0"),
        ("0000:0a:00.0", "0000:0a:00.0"),
        ("0A:00.0", "0000:0a:00.0"),
        ("00010000:0a:00.0", "10000:0a:00.0"),
        ("garbage", ""),
        ("", ""),
    ],
)
def test_pci_ids_are_spelled_as_the_kernel_does(busid: str, expected: str) -> None:
    assert short_pci(busid) == expected

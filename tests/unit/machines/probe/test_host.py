"""A Machine of this host, and of what another host saved."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniplan.domain.machine import Machine
from omniplan.errors import InputError
from omniplan.machines.files import machine_toml, parse_machine
from omniplan.machines.probe import hwloc
from omniplan.machines.probe.host import probe_machine, within
from omniplan.machines.probe.source import read_source
from tests.fakes import MIB, FakeGpu, FakeNvml, write, write_sysfs
from tests.refusals import check_one_line
from tests.unit.machines.probe.test_topology import TREES

SAMPLES = Path(__file__).parents[3] / "data" / "machines"
CPUINFO = "model name\t: AMD Ryzen Threadripper PRO 9995WX 96-Cores\nflags\t\t: fpu avx avx2 avx512f avx512_bf16 sse2"
MEMINFO = "MemTotal:       405000000 kB\nMemAvailable:   400000000 kB"


def _no_hwloc() -> Any:
    raise hwloc.HwlocMissing("libhwloc.so.15 is not installed")


def _host(root: Path, **files: str) -> Path:
    write_sysfs(root, TREES["NPS4"])
    write(root / "proc/cpuinfo", CPUINFO)
    write(root / "proc/meminfo", MEMINFO)
    for name, text in files.items():
        write(root / name.replace("__", "/"), text)
    return root


def test_a_whole_host(tmp_path: Path) -> None:
    """GPUs in CUDA's order with their nodes, cores by node, and one note per thing that cannot be seen."""
    fake = FakeNvml(
        (
            FakeGpu(uuid="GPU-a", bus="00000000:0A:00.0", link=(4, 16, 4, 16)),
            FakeGpu(name="NVIDIA GeForce RTX 3090", uuid="GPU-b", bus="00000000:F1:00.0", total=24576 * MIB),
        )
    )

    machine = probe_machine(
        root=_host(tmp_path), library=fake, environment={}, affinity=frozenset(range(16)), modules=""
    )

    assert [(gpu.name, gpu.description, gpu.numa_node) for gpu in machine.gpus] == [
        ("CUDA0", "RTX 4090", 0),
        ("CUDA1", "RTX 3090", 3),
    ]
    assert machine.gpus[0].bandwidth == 1008e9
    assert (machine.nps, len(machine.numa_nodes)) == (4, 4)
    assert machine.cpu is not None
    assert (machine.cpu.model, machine.cpu.n_cores, machine.cpu.allowed) == (
        "AMD Ryzen Threadripper PRO 9995WX",
        16,
        "0-15",
    )
    assert machine.cpu.allowed_cores == 16
    assert machine.cpu.features == ("avx", "avx2", "avx512f", "avx512_bf16")
    assert [note.split(":")[0] for note in machine.notes] == [
        "RTX 3090",
        "RTX 4090 is taken for CUDA0",
        "pin this order",
        "memory channels and speed unknown",
    ]
    assert parse_machine(machine_toml(machine)) == machine


def test_an_empty_sandbox_is_all_notes(tmp_path: Path) -> None:
    """No /proc, no /sys, no driver: a machine with nothing in it that says how to fill it."""
    machine = probe_machine(
        root=tmp_path, library=FakeNvml(broken=12), environment={}, modules="", affinity=frozenset()
    )

    assert machine.gpus == ()
    assert machine.memory is None
    assert [note.split(":")[0] for note in machine.notes] == [
        "topology unknown",
        "no NVIDIA GPU seen",
        "memory unknown",
    ]
    assert parse_machine(machine_toml(machine)) == machine


def test_a_gpu_without_memory_of_its_own_uses_the_ram(tmp_path: Path) -> None:
    fake = FakeNvml((FakeGpu(name="NVIDIA GB10", missing=frozenset({"memory"})),))

    machine = probe_machine(root=_host(tmp_path), library=fake, environment={}, modules="")

    assert machine.memory is not None
    assert machine.gpus[0].total == machine.memory.total
    assert machine.gpus[0].free == machine.memory.available
    assert machine.gpus[0].bandwidth == 273e9


def test_a_container_of_2_gb(tmp_path: Path) -> None:
    """What a plan may use lies within the container, and threads within its quota."""
    root = _host(
        tmp_path,
        **{"sys__fs__cgroup__memory.max": str(2 << 30), "sys__fs__cgroup__cpu.max": "200000 100000"},
    )

    machine = probe_machine(root=root, library=FakeNvml(), environment={}, modules="")

    assert machine.memory is not None
    assert machine.cpu is not None
    assert machine.memory.available <= 2 << 30
    assert machine.cpu.quota == 2.0


def test_this_host_within_half_a_second() -> None:
    """Everything but a brand lookup; nothing raises, and a file holds the result."""
    probe_machine(brand=False)
    begin = time.perf_counter()

    machine = probe_machine(brand=False)

    assert time.perf_counter() - begin < 0.5
    assert machine.cpu is not None
    assert machine.cpu.n_threads > 0
    assert parse_machine(machine_toml(machine)) == machine


def test_this_host_without_libraries() -> None:
    machine = probe_machine(load_hwloc=_no_hwloc, library=FakeNvml(broken=12))

    assert any("libhwloc.so.15 is not installed" in note for note in machine.notes)


def test_a_driver_that_hangs_is_left_behind() -> None:
    """A wedged driver answers nothing; the probe goes on without it."""
    forever = threading.Event()

    with pytest.raises(TimeoutError, match=r"no answer within 0\.05 s"):
        within(0.05, forever.wait)

    forever.set()


def test_errors_cross_the_thread() -> None:
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 // 0)


def test_importing_the_package_loads_no_probe() -> None:
    heavy = "('cffi', 'pynvml', 'cpuinfo', 'numpy')"
    code = f"import sys, omniplan, omniplan.domain.machine; print([name for name in {heavy} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)

    assert done.stdout.strip() == "[]"


def test_a_saved_nvidia_smi_in_cuda_order() -> None:
    """nvidia-smi lists the 5090 first; CUDA does not, and the machine says that this is a guess."""
    machine = read_source(str(SAMPLES / "nvidia-smi.xml"))

    assert [(gpu.name, gpu.description) for gpu in machine.gpus] == [
        ("CUDA0", "RTX PRO 6000 Blackwell Workstation Edition"),
        ("CUDA1", "RTX 5090"),
    ]
    assert machine.gpus[0].compute_capability == "12.0"
    assert any("pin by UUID" in note for note in machine.notes)


def test_a_saved_nvidia_smi_under_an_environment() -> None:
    machine = read_source(str(SAMPLES / "nvidia-smi.xml"), environment={"CUDA_DEVICE_ORDER": "PCI_BUS_ID"})

    assert machine.gpus[0].description == "RTX 5090"


def test_two_files_make_one_machine() -> None:
    machine = read_source(str(SAMPLES / "two-socket-gpus.xml"), str(SAMPLES / "nvidia-smi.xml"), name="both")

    assert machine.name == "both"
    assert machine.memory is not None
    assert machine.memory.total == (128 + 128 + 64) << 30
    assert len(machine.gpus) == 2
    assert machine.cpu is not None
    assert machine.cpu.n_sockets == 2


def test_a_profile_is_a_source_too(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text(machine_toml(read_source("omni-nps4")))

    assert read_source(str(path)) == read_source("omni-nps4")


def test_synthetic_strings() -> None:
    """Sizes that libhwloc makes up are left out; sizes in the string count."""
    try:
        bare = read_source("pack:1 numa:4 l3:3 core:8 pu:2")
        sized = read_source("pack:1 [numa(memory=376GiB)] l3:12 core:8 pu:2")
    except InputError as error:
        if "needs libhwloc" in str(error):
            pytest.skip(str(error))
        raise

    assert bare.memory is None
    assert bare.nps == 4
    assert {node.total for node in bare.numa_nodes} == {0}
    assert sized.memory is not None
    assert sized.memory.total == 376 << 30
    assert sized.nps == 1


def test_synthetic_strings_without_the_library() -> None:
    with pytest.raises(InputError, match=r"needs libhwloc: .* not installed"):
        read_source("pack:1 core:2", load_hwloc=_no_hwloc)


BAD = {
    "no file": ("/no/such/file.xml", "expected a file, a profile or a synthetic topology"),
    "a folder": ("/", "cannot be read"),
    "a device": ("/dev/null", "name: is missing"),
}


@pytest.mark.parametrize(("source", "message"), BAD.values(), ids=BAD.keys())
def test_bad_sources(source: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_source(source)


def test_no_source() -> None:
    with pytest.raises(InputError, match="expected a file that a program saved"):
        read_source()


def test_one_uuid_twice_names_the_place(tmp_path: Path) -> None:
    text = (
        (SAMPLES / "nvidia-smi.xml")
        .read_text()
        .replace("GPU-6000bbbb-0000-0000-0000-000000000002", "GPU-5090aaaa-0000-0000-0000-000000000001")
    )
    path = tmp_path / "smi.xml"
    path.write_text(text)

    with pytest.raises(InputError, match=r"smi.xml: gpus\[1\].uuid: .* is already gpus\[0\]"):
        read_source(str(path))


@given(st.binary(max_size=64))
def test_any_bytes_are_a_machine_or_an_input_error(data: bytes) -> None:
    from tempfile import NamedTemporaryFile

    with NamedTemporaryFile(suffix=".xml") as file:
        file.write(data)
        file.flush()
        try:
            read_source(file.name)
        except InputError as error:
            check_one_line(error)


@given(st.text("packnumcore:123() []/.", max_size=30))
def test_any_text_is_a_machine_or_an_input_error(text: str) -> None:
    try:
        read_source(text)
    except InputError as error:
        check_one_line(error)


def test_nvidia_smi_is_asked_where_nvml_is_not_there(tmp_path: Path) -> None:
    """The same cards by the program alone; without it one note says what is missing."""
    saved = (SAMPLES / "nvidia-smi.xml").read_text()
    silent = FakeNvml(broken=9)

    def none() -> str:
        raise InputError("nvidia-smi is not installed")

    def of(ask: Any) -> Any:
        return probe_machine(root=_host(tmp_path), library=silent, environment={}, modules="", ask_smi=ask)

    known = read_source(str(SAMPLES / "nvidia-smi.xml")).gpus
    assert {gpu.uuid for gpu in of(lambda: saved).gpus} == {gpu.uuid for gpu in known}
    assert of(none).gpus == ()
    assert any("nvidia-smi is not installed" in note for note in of(none).notes)


STRIX = {
    "vendor": "0x1002",
    "device": "0x1586",
    "revision": "0xc1",
    "mem_info_vram_total": str(512 * MIB),
    "mem_info_vram_used": str(100 * MIB),
    "mem_info_gtt_total": str(98304 * MIB),
    "mem_info_gtt_used": str(304 * MIB),
    "uevent": "DRIVER=amdgpu\nPCI_SLOT_NAME=0000:c4:00.0",
}
NAVI = STRIX | {
    "device": "0x744c",
    "revision": "0xc8",
    "mem_info_vram_total": str(24560 * MIB),
    "max_link_speed": "16.0 GT/s PCIe",
    "max_link_width": "16",
    "uevent": "PCI_SLOT_NAME=0000:03:00.0",
}


def _silent() -> str:
    raise InputError("not installed")


def _amd_host(root: Path, *cards: dict[str, str], **files: str) -> Machine:
    for index, card in enumerate(cards):
        for name, text in card.items():
            write(root / f"sys/class/drm/card{index}/device/{name}", text)
    # A connector of a card is no card.
    write(root / "sys/class/drm/card0-DP-1/status", "connected")
    host = _host(root, **files)
    return probe_machine(root=host, library=FakeNvml(broken=12), environment={}, modules="", ask_smi=_silent)


def test_an_apu_by_the_kernel_s_files(tmp_path: Path) -> None:
    """Named by its PCI id; what it may take of RAM and what the firmware keeps are the kernel's own figures."""
    machine = _amd_host(tmp_path, STRIX, opt__rocm__version="7")
    (gpu,) = machine.gpus

    assert (gpu.name, gpu.description, gpu.pci, gpu.bandwidth) == ("ROCm0", "Radeon 8060S", "0000:c4:00.0", 256e9)
    assert (gpu.gtt, gpu.carve_out, gpu.free) == (98304 * MIB, 512 * MIB, 98000 * MIB)
    assert gpu.draws_on_ram
    assert machine.notes[0].startswith("Radeon 8060S: its memory is the RAM; the GPU may take 95.70 GiB of it")
    assert parse_machine(machine_toml(machine)) == machine


def test_a_discrete_card_is_taken_and_the_processor_s_is_not(tmp_path: Path) -> None:
    """As llama.cpp does; without ROCm it is a device of Vulkan, which is told."""
    machine = _amd_host(tmp_path, STRIX, NAVI)
    (gpu,) = machine.gpus

    assert (gpu.name, gpu.description, gpu.total) == ("Vulkan0", "RX 7900 XTX", 24560 * MIB)
    assert (gpu.pcie_generation_max, gpu.pcie_width_max, gpu.is_unified) == (4, 16, False)
    assert any(note.startswith("Radeon 8060S: left out") for note in machine.notes)
    assert any("no ROCm is installed" in note for note in machine.notes)


def test_a_host_s_own_list_names_newer_cards(tmp_path: Path) -> None:
    """libdrm's list lies on most hosts, and is newer than any table; a card in neither is named by its id."""
    new = NAVI | {"device": "0x9999", "revision": "0x01"}
    write(tmp_path / "usr/share/libdrm/amdgpu.ids", "9999,\t01,\tAMD Radeon RX 9070 XT\n")

    assert _amd_host(tmp_path, new).gpus[0].description == "RX 9070 XT"
    assert _amd_host(tmp_path / "none", new).gpus[0].description == "AMD 9999"


def test_a_jetson_is_known_by_its_board(tmp_path: Path) -> None:
    """NVML does not know it; its memory is the RAM."""
    machine = _amd_host(tmp_path, **{"proc__device-tree__model": "NVIDIA Jetson AGX Orin Developer Kit\0"})
    (gpu,) = machine.gpus

    assert gpu.description.startswith("Jetson AGX Orin")
    assert machine.memory is not None
    assert (gpu.total, gpu.is_unified) == (machine.memory.total, True)

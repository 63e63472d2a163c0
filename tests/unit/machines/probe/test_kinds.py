"""What programs of other systems print, in their true shapes: each is a machine, and damaged a machine or one line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import omniplan
from omniplan.domain.machine import Machine
from omniplan.errors import InputError
from omniplan.machines.probe.source import read_source
from omniplan.machines.probe.systems import this_host
from omniplan.units import GIB, MIB
from tests.refusals import check_one_line

ROCM_SMI = json.dumps(
    {
        "card0": {
            "Device Name": "AMD Radeon RX 7900 XTX",
            "Device ID": "0x744c",
            "Device Rev": "0xc8",
            "VRAM Total Memory (B)": "25753026560",
            "VRAM Total Used Memory (B)": "27459584",
            "GTT Total Memory (B)": "33623949312",
            "GTT Total Used Memory (B)": "14766080",
            "PCI Bus": "0000:03:00.0",
            "Card Series": "AMD Radeon RX 7900 XTX",
            "GFX Version": "gfx1100",
        },
        "system": {"Driver version": "6.8.5"},
    }
)
AMD_SMI_STATIC = json.dumps(
    {
        "gpu_data": [
            {
                "gpu": 0,
                "asic": {"market_name": "AMD Radeon Graphics", "device_id": "0x1586", "rev_id": "0xc1"},
                "bus": {"bdf": "0000:c4:00.0", "max_pcie_width": 16, "max_pcie_speed": {"value": 16, "unit": "GT/s"}},
                "vram": {"type": "LPDDR5", "vendor": "N/A", "size": {"value": 512, "unit": "MB"}},
                "numa": {"node": 0, "affinity": "N/A"},
            }
        ]
    }
)
AMD_SMI_METRIC = json.dumps(
    [
        {
            "gpu": 0,
            "usage": {"gfx_activity": {"value": 0, "unit": "%"}},
            "mem_usage": {
                "total_vram": {"value": 512, "unit": "MB"},
                "used_vram": {"value": 163, "unit": "MB"},
                "total_gtt": {"value": 122880, "unit": "MB"},
                "used_gtt": {"value": 100, "unit": "MB"},
                "free_gtt": {"value": 122780, "unit": "MB"},
            },
        }
    ]
)
LISTING = """\
/sys/class/drm/card1/device/vendor:0x1002
/sys/class/drm/card1/device/device:0x73bf
/sys/class/drm/card1/device/revision:0xc1
/sys/class/drm/card1/device/mem_info_vram_total:17163091968
/sys/class/drm/card1/device/mem_info_vram_used:1038090240
/sys/class/drm/card1/device/mem_info_gtt_total:33623949312
/sys/class/drm/card1/device/mem_info_gtt_used:52428800
/sys/class/drm/card1/device/max_link_speed:16.0 GT/s PCIe
/sys/class/drm/card1/device/max_link_width:16
/sys/class/drm/card1/device/uevent:DRIVER=amdgpu
/sys/class/drm/card1/device/uevent:PCI_SLOT_NAME=0000:0b:00.0
"""
VULKAN_SUMMARY = """\
==========
VULKANINFO
==========

Vulkan Instance Version: 1.3.280

Devices:
========
GPU0:
\tapiVersion         = 1.3.278
\tdriverVersion      = 24.1.0
\tvendorID           = 0x1002
\tdeviceID           = 0x744c
\tdeviceType         = PHYSICAL_DEVICE_TYPE_DISCRETE_GPU
\tdeviceName         = AMD Radeon RX 7900 XTX (RADV NAVI31)
\tdriverName         = radv
GPU1:
\tapiVersion         = 1.3.278
\tvendorID           = 0x10005
\tdeviceID           = 0x0000
\tdeviceType         = PHYSICAL_DEVICE_TYPE_CPU
\tdeviceName         = llvmpipe (LLVM 17.0.6, 256 bits)
"""
VULKAN_FULL = """\
Device Properties and Extensions:
=================================
GPU0:
VkPhysicalDeviceProperties:
---------------------------
\tapiVersion        = 1.4.305 (4210993)
\tvendorID          = 0x1002
\tdeviceID          = 0x1586
\tdeviceType        = PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU
\tdeviceName        = Radeon 8060S Graphics (RADV GFX1151)

VkPhysicalDeviceMemoryProperties:
=================================
memoryHeaps: count = 2
\tmemoryHeaps[0]:
\t\tsize   = 44560285696 (0xa60000000) (41.50 GiB)
\t\tbudget = 44000000000 (0xa3e9ab800) (40.98 GiB)
\t\tusage  = 0 (0x00000000) (0.00 B)
\t\tflags:
\t\t\tNone
\tmemoryHeaps[1]:
\t\tsize   = 89120571392 (0x14c0000000) (83.00 GiB)
\t\tbudget = 88000000000 (0x147d357000) (81.96 GiB)
\t\tusage  = 0 (0x00000000) (0.00 B)
\t\tflags: count = 1
\t\t\tMEMORY_HEAP_DEVICE_LOCAL_BIT
memoryTypes: count = 11
"""
VULKAN_JSON = json.dumps(
    {
        "$schema": "https://schema.khronos.org/vulkan/devsim_1_0_0.json#",
        "VkPhysicalDeviceProperties": {
            "deviceID": 57867,
            "deviceName": "Intel(R) Arc(tm) B580 Graphics (BMG G21)",
            "deviceType": 2,
            "vendorID": 32902,
            "limits": {"maxImageDimension1D": 16384},
        },
        "VkPhysicalDeviceMemoryProperties": {
            "memoryHeaps": [{"flags": 1, "size": 12508463104}, {"flags": 0, "size": 33623949312}],
            "memoryTypes": [{"heapIndex": 0, "propertyFlags": 1}],
        },
    }
)
PROFILER = json.dumps(
    {
        "SPDisplaysDataType": [
            {
                "_name": "Apple M3 Ultra",
                "spdisplays_mtlgpufamilysupport": "spdisplays_metal3",
                "spdisplays_ndrvs": [{"_name": "Studio Display"}],
                "spdisplays_vendor": "sppci_vendor_Apple",
                "sppci_bus": "spdisplays_builtin",
                "sppci_cores": "80",
                "sppci_model": "Apple M3 Ultra",
            }
        ],
        "SPHardwareDataType": [
            {
                "_name": "hardware_overview",
                "chip_type": "Apple M3 Ultra",
                "machine_model": "Mac15,14",
                "machine_name": "Mac Studio",
                "number_processors": "proc 32:24:8",
                "physical_memory": "512 GB",
            }
        ],
    }
)
SYSCTL = """\
hw.ncpu: 16
hw.memsize: 137438953472
hw.perflevel0.physicalcpu: 12
hw.perflevel1.physicalcpu: 4
hw.physicalcpu: 16
hw.logicalcpu: 16
machdep.cpu.brand_string: Apple M4 Max
iogpu.wired_limit_mb: 122880
"""
CIM = json.dumps(
    {
        "gpus": [
            {
                "Name": "NVIDIA GeForce RTX 4090",
                "AdapterRAM": 4293918720,
                "PNPDeviceID": "PCI\\VEN_10DE&DEV_2684&SUBSYS_00000000&REV_A1\\4&1",
                "CimClass": {"CimClassName": "Win32_VideoController", "CimClassProperties": []},
            },
            {
                "Name": "AMD Radeon(TM) 780M Graphics",
                "AdapterRAM": 536870912,
                "PNPDeviceID": "PCI\\VEN_1002&DEV_15BF&SUBSYS_00000000&REV_C1\\4&2",
            },
            {"Name": "Parsec Virtual Display Adapter", "AdapterRAM": None, "PNPDeviceID": "ROOT\\DISPLAY\\0000"},
        ],
        "cpus": [
            {
                "Name": "AMD Ryzen 9 7950X 16-Core Processor            ",
                "NumberOfCores": 16,
                "NumberOfLogicalProcessors": 32,
                "L3CacheSize": 65536,
            }
        ],
        "modules": [
            {"Capacity": 34359738368, "ConfiguredClockSpeed": 5600, "DeviceLocator": f"DIMM {n}", "BankLabel": bank}
            for n, bank in ((0, "P0 CHANNEL A"), (1, "P0 CHANNEL B"))
        ],
        "system": [{"TotalVisibleMemorySize": 66214000, "FreePhysicalMemory": 52000000}],
    }
)
SAMPLES = {
    "rocm-smi": ROCM_SMI,
    "amd-smi-static": AMD_SMI_STATIC,
    "amd-smi-metric": AMD_SMI_METRIC,
    "listing": LISTING,
    "summary": VULKAN_SUMMARY,
    "vulkaninfo": VULKAN_FULL,
    "vulkan-json": VULKAN_JSON,
    "profiler": PROFILER,
    "sysctl": SYSCTL,
    "cim": CIM,
}


def read(tmp_path: Path, *names: str) -> Machine:
    """The machine that saved samples describe together."""
    for name in names:
        (tmp_path / name).write_text(SAMPLES[name], encoding="utf-8")
    return read_source(*(str(tmp_path / name) for name in names))


@pytest.mark.parametrize(
    ("name", "gpu", "description", "mib", "free_mib"),
    [
        ("rocm-smi", "ROCm0", "RX 7900 XTX", 24560, 24533),
        ("amd-smi-static", "ROCm0", "Radeon 8060S", 512, 512),
        ("amd-smi-metric", "ROCm0", "", 122880, 122780),
        ("listing", "ROCm0", "RX 6800 XT", 16368, 15378),
        ("summary", "Vulkan0", "RX 7900 XTX", 24576, 24576),
        ("vulkaninfo", "Vulkan0", "Radeon 8060S", 84992, 84992),
        ("vulkan-json", "Vulkan0", "Arc B580", 11929, 11929),
        ("profiler", "MTL0", "Apple M3 Ultra", 524288, 393216),
        ("sysctl", "MTL0", "Apple M4 Max", 131072, 122880),
        ("cim", "CUDA0", "RTX 4090", 24564, 22964),
    ],
)
def test_each_kind_is_known_by_its_form(
    tmp_path: Path, name: str, gpu: str, description: str, mib: int, free_mib: int
) -> None:
    """One GPU each, called as llama.cpp calls it, with what the program says of its memory, and its row."""
    (found,) = read(tmp_path, name).gpus

    assert (found.name, found.description) == (gpu, description)
    assert (found.total // MIB, found.free // MIB) == (mib, free_mib)
    assert not description or found.bandwidth


def test_an_apu_is_known_from_two_answers(tmp_path: Path) -> None:
    """static names it, metric says what it may take; together they are one GPU that draws on RAM."""
    (gpu,) = read(tmp_path, "amd-smi-static", "amd-smi-metric").gpus

    assert (gpu.description, gpu.is_unified, gpu.draws_on_ram) == ("Radeon 8060S", True, True)
    assert (gpu.gtt, gpu.carve_out, gpu.room) == (122880 * MIB, 512 * MIB, 122780 * MIB)


def test_a_mac_has_its_limit_by_size_or_as_set(tmp_path: Path) -> None:
    """Three quarters of 512 GiB unless iogpu.wired_limit_mb says otherwise; cores by their kind."""
    profiled, asked = read(tmp_path, "profiler"), read(tmp_path, "sysctl")

    assert profiled.cpu is not None
    assert (profiled.cpu.n_performance_cores, profiled.cpu.n_efficiency_cores) == (24, 8)
    assert profiled.gpus[0].working_set == 384 * GIB
    assert (asked.gpus[0].working_set, asked.gpus[0].limit_source) == (120 * GIB, "iogpu.wired_limit_mb")


def test_windows_keeps_part_of_a_card_and_tells_no_size_beyond_4_gib(tmp_path: Path) -> None:
    """A card's size is its row's, less what Windows keeps; an integrated adapter is left out, and told."""
    machine = read(tmp_path, "cim")
    (kept,) = machine.gpus[0].reserved

    assert kept.kind == "wddm"
    assert machine.cpu is not None
    assert (machine.cpu.model, machine.cpu.n_threads) == ("AMD Ryzen 9 7950X", 32)
    assert machine.memory is not None
    assert (machine.memory.channels, machine.memory.speed_mts, machine.memory.bandwidth) == (2, 5600, 89.6e9)
    assert any(note.startswith("Radeon 780M: left out") for note in machine.notes)


def test_powershell_writes_utf_16_and_standard_input_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``> file`` of Windows PowerShell begins with a mark of its own; ``-`` reads what is piped in."""
    path = tmp_path / "cim.json"
    path.write_bytes(CIM.encode("utf-16"))
    with path.open(encoding="utf-16") as piped:
        monkeypatch.setattr("sys.stdin", piped)

        assert omniplan.probe("-").gpus == omniplan.probe(str(path)).gpus


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(name=st.sampled_from(sorted(SAMPLES)), at=st.floats(0, 1), cut=st.integers(0, 60), put=st.text(max_size=12))
def test_a_damaged_answer_is_a_machine_or_one_line(tmp_path: Path, name: str, at: float, cut: int, put: str) -> None:
    """Cut short, with a piece missing, or with something else in its place."""
    text = SAMPLES[name]
    start = int(at * len(text))
    for damaged in (text[:start], text[:start] + put + text[start + cut :]):
        path = tmp_path / "saved"
        path.write_text(damaged, encoding="utf-8", errors="replace")
        try:
            machine = read_source(str(path))
        except InputError as error:
            check_one_line(error)
        else:
            assert Machine.from_dict(machine.to_dict()) == machine


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"card0": {"VRAM Total Memory (B)": "many"}}', "card0: VRAM Total Memory"),
        ('{"gpu_data": [{"gpu": "zero"}]}', "gpu[0]: gpu: "),
        ('{"SPHardwareDataType": [{"chip_type": "Apple M1"}]}', "names no size of memory"),
        ("GPU0:\n\tdeviceType = PHYSICAL_DEVICE_TYPE_CPU\n\tdeviceName = llvmpipe\n", "vulkaninfo lists only llvmpipe"),
        ("/sys/class/drm/card0/device/vendor:0x8086\n", "expected an AMD GPU"),
        ('{"card0": ', "not JSON"),
        ("[" * 100_000, "saved"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    """Which file, where in it, and what."""
    path = tmp_path / "saved"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(InputError) as refused:
        read_source(str(path))

    check_one_line(refused.value)
    assert problem in str(refused.value)


def test_a_mac_and_a_windows_ask_their_own_programs() -> None:
    """Both answers of a Mac are joined; a Windows without nvidia-smi is known by CIM alone; silence is one line."""
    answers = {"system_profiler": PROFILER, "sysctl": SYSCTL, "powershell": CIM}

    def ask(command: Sequence[str]) -> str:
        if command[0] not in answers:
            raise InputError(f"{command[0]} is not installed")
        return answers[command[0]]

    mac, windows = (this_host(system=system, asked=ask, environment={}) for system in ("Darwin", "Windows"))
    answers.clear()

    assert (mac.name, mac.gpus[0].working_set, mac.gpus[0].is_display) == ("this-host", 120 * GIB, True)
    assert [gpu.description for gpu in windows.gpus] == ["RTX 4090"]
    with pytest.raises(InputError, match="does not say what it is: sysctl is not installed; system_profiler is not"):
        this_host(system="Darwin", asked=ask, environment={})


def test_nvidia_smi_of_windows_keeps_what_its_display_driver_model_does(tmp_path: Path) -> None:
    """WDDM takes more than nvidia-smi shows as in use before anything runs."""
    text = Path("tests/data/machines/nvidia-smi.xml").read_text(encoding="utf-8")
    (tmp_path / "smi.xml").write_text(
        text.replace("<product_name>", "<driver_model><current_dm>WDDM</current_dm></driver_model><product_name>"),
        encoding="utf-8",
    )
    linux, windows = read_source("tests/data/machines/nvidia-smi.xml"), read_source(str(tmp_path / "smi.xml"))

    (idle, busy), (kept, as_busy) = linux.gpus, windows.gpus

    assert idle.total - kept.free == 1600 * MIB
    assert [row.kind for row in kept.reserved] == ["driver", "wddm"]
    assert as_busy.free == busy.free

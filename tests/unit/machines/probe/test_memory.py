"""RAM and what a container leaves of it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniplan.machines.probe.limits import GroupLimits, read_limits
from omniplan.machines.probe.memory import parse_modules, read_memory, read_modules
from tests.fakes import MIB, write

MEMINFO = """MemTotal:       65745920 kB
MemFree:        10485760 kB
MemAvailable:   52428800 kB
SwapTotal:       8388608 kB
HugePages_Total:       4
Hugepagesize:       2048 kB
Hugetlb:            8192 kB"""


def _files(root: Path, files: dict[str, str]) -> Path:
    write(root / "proc/meminfo", MEMINFO)
    for name, text in files.items():
        write(root / name, text)
    return root


def test_a_plain_host(tmp_path: Path) -> None:
    memory = read_memory(_files(tmp_path, {}), read_limits(tmp_path))

    assert memory is not None
    assert (memory.total // MIB, memory.available // MIB) == (64205, 51200)
    assert [(row.kind, row.size // MIB) for row in memory.reserved] == [("system", 13005)]
    assert (memory.swap, memory.huge_pages) == (8 << 30, 8 << 20)
    assert memory.bandwidth is None


def test_no_meminfo_is_no_memory(tmp_path: Path) -> None:
    assert read_memory(tmp_path, GroupLimits()) is None


V2 = "sys/fs/cgroup/"
LIMITS: dict[str, tuple[dict[str, str], GroupLimits]] = {
    "none": ({}, GroupLimits()),
    "unlimited": ({V2 + "memory.max": "max", V2 + "cpu.max": "max 100000"}, GroupLimits()),
    "a container of 2 GB that sees its own root": (
        {
            "proc/self/cgroup": "0::/",
            V2 + "memory.max": str(2 << 30),
            V2 + "memory.current": str(500 << 20),
            V2 + "memory.stat": f"anon 1\ninactive_file {300 << 20}\nactive_file 7",
            V2 + "cpuset.cpus.effective": "2-5",
            V2 + "cpu.max": "250000 100000",
        },
        GroupLimits(memory=2 << 30, memory_used=200 << 20, cpus=frozenset({2, 3, 4, 5}), quota=2.5),
    ),
    "the tightest of parent and child": (
        {
            "proc/self/cgroup": "0::/user.slice/a.scope",
            V2 + "user.slice/memory.max": str(1 << 30),
            V2 + "user.slice/a.scope/memory.max": str(4 << 30),
            V2 + "user.slice/a.scope/cpu.max": "400000 100000",
            V2 + "user.slice/cpu.max": "100000 100000",
        },
        GroupLimits(memory=1 << 30, quota=1.0),
    ),
    "a path of another namespace": (
        {"proc/self/cgroup": "0::/../../docker/abc", V2 + "memory.max": str(3 << 30)},
        GroupLimits(memory=3 << 30),
    ),
    "version 1": (
        {
            "proc/self/cgroup": "4:memory:/x\n2:cpu,cpuacct:/x\n3:cpuset:/x\n0::/",
            V2 + "memory/x/memory.limit_in_bytes": str(2 << 30),
            V2 + "memory/memory.limit_in_bytes": "9223372036854771712",
            V2 + "cpu,cpuacct/x/cpu.cfs_quota_us": "50000",
            V2 + "cpu,cpuacct/x/cpu.cfs_period_us": "100000",
            V2 + "cpu,cpuacct/cpu.cfs_quota_us": "-1",
            V2 + "cpu,cpuacct/cpu.cfs_period_us": "100000",
            V2 + "cpuset/x/cpuset.effective_cpus": "0-1",
        },
        GroupLimits(memory=2 << 30, cpus=frozenset({0, 1}), quota=0.5),
    ),
    "nonsense": (
        {V2 + "memory.max": "-5", V2 + "cpuset.cpus.effective": "many", V2 + "cpu.max": "0 0"},
        GroupLimits(),
    ),
}


@pytest.mark.parametrize(("files", "expected"), LIMITS.values(), ids=LIMITS.keys())
def test_limits(tmp_path: Path, files: dict[str, str], expected: GroupLimits) -> None:
    assert read_limits(_files(tmp_path, files)) == expected


def test_a_container_of_2_gb_plans_within_2_gb(tmp_path: Path) -> None:
    limits = GroupLimits(memory=2 << 30, memory_used=200 << 20)

    memory = read_memory(_files(tmp_path, {}), limits)

    assert memory is not None
    assert memory.available == (2048 - 200) * MIB
    assert memory.reserved[1].kind == "cgroup"
    assert memory.reserved[1].reason == "container limit: 2048 MiB, of which 200 MiB are in use"


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 40))
def test_available_never_exceeds_host_or_limit(limit: int, used: int) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        root = _files(Path(folder), {})
        memory = read_memory(root, GroupLimits(memory=limit, memory_used=min(used, limit)))

    assert memory is not None
    assert memory.available <= 51200 * MIB
    assert memory.available <= max(0, limit - used)
    assert sum(row.size for row in memory.reserved) + memory.available == memory.total


def _module(locator: str, size: str = "16 GB", speed: str = "3600 MT/s", bank: str = "P0 CHANNEL A") -> str:
    return (
        f"Memory Device\n\tSize: {size}\n\tLocator: {locator}\n\tBank Locator: {bank}\n\tSpeed: 4800 MT/s\n"
        f"\tConfigured Memory Speed: {speed}\n"
    )


MODULES = {
    "two channels": (_module("DIMM 0") + _module("DIMM 0", bank="P0 CHANNEL B"), (2, 3600)),
    "two modules in one channel": (_module("DIMM 0") + _module("DIMM 1"), (1, 3600)),
    "an empty slot": (
        _module("DIMM 0") + _module("DIMM 0", size="No Module Installed", bank="P0 CHANNEL B"),
        (1, 3600),
    ),
    "channels of two sockets": (
        _module("CPU1_DIMM_A1", bank="BANK 0") + _module("CPU2_DIMM_A1", bank="BANK 1"),
        (2, 3600),
    ),
    "the slowest counts": (_module("a") + _module("b", speed="3200 MT/s", bank="P0 CHANNEL B"), (2, 3200)),
    "unclear places": (_module("slot 1", bank="Not Specified"), (None, 3600)),
    "unknown speed": (_module("DIMM 0", speed="Unknown"), (1, None)),
    "nothing": ("", (None, None)),
}


@pytest.mark.parametrize(("text", "expected"), MODULES.values(), ids=MODULES.keys())
def test_modules(text: str, expected: tuple[int | None, int | None]) -> None:
    assert parse_modules(text) == expected


def test_modules_give_the_nominal_bandwidth(tmp_path: Path) -> None:
    memory = read_memory(_files(tmp_path, {}), GroupLimits(), _module("a") + _module("b", bank="P0 CHANNEL B"))

    assert memory is not None
    assert memory.bandwidth == memory.nominal_bandwidth == 57.6e9


@pytest.mark.parametrize("error", [subprocess.TimeoutExpired("dmidecode", 2), PermissionError(), FileNotFoundError()])
def test_a_program_that_hangs_or_is_refused_is_silence(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        assert command[1:] == ["-t", "17"]
        assert options["timeout"] <= 2
        raise error

    monkeypatch.setattr("shutil.which", lambda name, **_: f"/usr/sbin/{name}")

    assert read_modules(run) == ""

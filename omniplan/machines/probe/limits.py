"""What a container lets this process use: memory, CPUs and CPU time, from cgroups (v2, and v1 where it still runs).

Files: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst of Linux.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from omniplan.machines.probe.sysfs import read_count, read_cpus, read_text
from omniplan.machines.probe.topology import Cpus

# cgroup v1 writes "no limit" as the largest page-aligned 63-bit number.
_NO_LIMIT = 1 << 60


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLimits:
    """Bytes this group may use and those it uses and cannot give back; its CPUs; its CPU time in whole CPUs."""

    memory: int | None = None
    memory_used: int = 0
    cpus: Cpus = frozenset()
    quota: float | None = None


def read_limits(root: Path = Path("/")) -> GroupLimits:
    """The tightest limits on the way from this process's group to the root."""
    memory: int | None = None
    used = 0
    cpus: Cpus = frozenset()
    quota: float | None = None
    for folder in _groups(root):
        limit, kept = _memory(folder)
        if limit is not None and (memory is None or limit - kept < memory - used):
            memory, used = limit, kept
        found = read_cpus(folder / "cpuset.cpus.effective") or read_cpus(folder / "cpuset.effective_cpus")
        cpus = cpus & found if cpus and found else cpus or found
        share = _quota(folder)
        quota = share if quota is None or (share is not None and share < quota) else quota
    return GroupLimits(memory=memory, memory_used=used, cpus=cpus, quota=quota)


def _groups(root: Path) -> Iterator[Path]:
    """Folders of this process's groups, each up to its hierarchy's root; inside a container often only the root."""
    base = root / "sys/fs/cgroup"
    lines = re.findall(r"^\d+:([^:\n]*):(/.*)$", read_text(root / "proc/self/cgroup"), re.MULTILINE)
    for controllers, path in lines or [("", "/")]:
        names = ("", "unified") if not controllers else (controllers, *controllers.split(","))
        parts = [part for part in path.split("/") if part and part != ".."]
        for top in dict.fromkeys(base / name for name in names):
            for depth in range(len(parts), -1, -1):
                folder = top.joinpath(*parts[:depth])
                if folder.is_dir():
                    yield folder


def _memory(folder: Path) -> tuple[int | None, int]:
    for limit_name, used_name, stat in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit = read_count(folder / limit_name)
        if limit is None or not 0 <= limit < _NO_LIMIT:
            continue
        cache = re.search(rf"^{stat} (\d{{1,19}})$", read_text(folder / "memory.stat"), re.MULTILINE)
        used = (read_count(folder / used_name) or 0) - (int(cache[1]) if cache else 0)
        return limit, min(limit, max(0, used))
    return None, 0


def _quota(folder: Path) -> float | None:
    """CPU time as CPUs: "200000 100000" is two."""
    words = read_text(folder / "cpu.max").split()
    if not words:
        words = [read_text(folder / "cpu.cfs_quota_us"), read_text(folder / "cpu.cfs_period_us")]
    if len(words) != 2 or not all(re.fullmatch(r"[1-9]\d{0,15}", word) for word in words):
        return None
    return int(words[0]) / int(words[1])

"""RAM of this host: size, what is in use, swap, huge pages, modules where they may be read, and a container's limit."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from omniplan.domain.machine import Memory, Reservation, ReservationKind
from omniplan.machines.probe.limits import GroupLimits
from omniplan.machines.probe.sysfs import read_text
from omniplan.units import MIB

# dmidecode reads one file; where it takes longer it waits for something that will not come.
_DMI_SECONDS = 2.0

MODULES_UNKNOWN = (
    "memory channels and speed unknown: run `sudo dmidecode -t 17` and write channels and speed_mts under [memory], "
    "or measure with `omniplan calibrate`"
)


def read_memory(root: Path, limits: GroupLimits, modules: str = "", sockets: int = 1) -> Memory | None:
    """RAM from ``root``/proc/meminfo, dmidecode's text and a container's limits; None without meminfo."""
    sizes = {
        name: int(number) << 10
        for name, number in re.findall(r"^(\S+):\s+(\d{1,15}) kB$", read_text(root / "proc/meminfo"), re.MULTILINE)
    }
    if not (total := sizes.get("MemTotal", 0) // MIB * MIB):
        return None
    free = min(total, sizes.get("MemAvailable", sizes.get("MemFree", 0))) // MIB * MIB
    in_use = Reservation(
        size=total - free, reason="in use by the system and other processes", kind=ReservationKind.SYSTEM
    )
    channels, speed = parse_modules(modules)
    return Memory(
        total=total,
        reserved=tuple(item for item in (in_use, *_limit(limits, free)) if item.size),
        channels=channels,
        speed_mts=speed,
        bandwidth=channels // sockets * speed * 8e6 if channels and speed else None,
        swap=sizes.get("SwapTotal"),
        huge_pages=sizes.get("Hugetlb"),
    )


def _limit(limits: GroupLimits, free: int) -> tuple[Reservation, ...]:
    if limits.memory is None:
        return ()
    left = max(0, limits.memory - limits.memory_used) // MIB * MIB
    text = f"container limit: {limits.memory // MIB} MiB, of which {limits.memory_used // MIB} MiB are in use"
    return (Reservation(size=max(0, free - left), reason=text, kind=ReservationKind.CGROUP),)


def read_modules(run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run) -> str:
    """``dmidecode -t 17``, "" where it is absent, not allowed or slow."""
    program = shutil.which("dmidecode") or shutil.which("dmidecode", path="/usr/sbin:/sbin")
    if program is None:
        return ""
    try:
        done = run([program, "-t", "17"], capture_output=True, text=True, timeout=_DMI_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    return done.stdout if done.returncode == 0 else ""


def parse_modules(text: str) -> tuple[int | None, int | None]:
    """Channels with a module, and the slowest module's speed in MT/s, from dmidecode's text; None where unclear."""
    channels: set[str] = set()
    speeds: set[int] = set()
    for block in text.split("Memory Device")[1:]:
        if not re.search(r"^\s*Size:\s*\d+", block, re.MULTILINE):
            continue
        speed = re.search(r"Configured (?:Memory|Clock) Speed:\s*(\d{3,5})", block)
        speeds.update({int(speed[1])} if speed else ())
        places = " ".join(re.findall(r"Locator:\s*(.+)", block))
        socket = re.search(r"(?:P|CPU|Node|Proc(?:essor)?|Controller)\s?(\d)", places, re.IGNORECASE)
        channel = re.search(r"CHANNEL[ _]?([A-Z]|\d{1,2})|DIMM_?([A-Z])\d?\b", places, re.IGNORECASE)
        channels.add(f"{socket[1] if socket else ''}/{channel[1] or channel[2]}" if channel else "")
    known = len(channels) if channels and "" not in channels else None
    return known, min(speeds) if speeds else None

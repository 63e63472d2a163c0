"""Sets of CPU numbers in the kernel's list form ("0-7,16-23"); machines carry the text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from omniplan.errors import InputError

# x86 Linux builds for at most 8192 CPUs (arch/x86/Kconfig, NR_CPUS_RANGE_END).
MAX_CPUS: Final = 8192

_PART: Final = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?", re.ASCII)


def parse_cpus(text: str) -> frozenset[int]:
    """The CPU numbers of a list such as "0-7,16-23"; empty text is the empty set. Raises InputError."""
    found: set[int] = set()
    for part in text.strip().split(",") if text.strip() else ():
        match = _PART.fullmatch(part.strip())
        first = int(match[1]) if match else 0
        last = int(match[2] or first) if match else -1
        if not first <= last < MAX_CPUS:
            raise InputError(f'expected CPU numbers below {MAX_CPUS} such as "0-7,16-23", got {part.strip()[:40]!r}')
        found.update(range(first, last + 1))
    return frozenset(found)


def format_cpus(cpus: Iterable[int]) -> str:
    """The kernel's list form of ``cpus``; ``parse_cpus`` reads it back."""
    runs: list[tuple[int, int]] = []
    for cpu in sorted(set(cpus)):
        if runs and cpu == runs[-1][1] + 1:
            runs[-1] = runs[-1][0], cpu
        else:
            runs.append((cpu, cpu))
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)

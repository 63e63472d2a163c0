"""The processors a process may use, and how busy they are; a system that does not say answers None or nothing."""

from __future__ import annotations

import os


def processors() -> frozenset[int]:
    """Numbers of the hardware threads that this process may use; empty where the system does not say (macOS)."""
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()


def bind(processor: int) -> None:
    """Keep the calling thread on one of them; where the system cannot, its scheduler decides."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {processor})


def load_average() -> float | None:
    """Processes that ran or waited to run in the last minute; None where nobody counts them (Windows)."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def ticks() -> int:
    """How many times a second the system counts what its processors do, as ``/proc/stat`` does."""
    # Every Linux has 100; a system without the call has no such file.
    return os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100

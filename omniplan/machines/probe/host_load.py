"""How much of this host's processor time others take, from the kernel's counters (proc_stat(5))."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from omniplan import system

_STAT: Final = Path("/proc/stat")
# Columns of "cpu": user, nice, system, idle, iowait, irq, softirq, steal; a guest's time stands under user as well.
_BUSY: Final = (0, 1, 2, 5, 6, 7)


class HostLoad:
    """Processor time from here on, of all and of this process with the children that it has waited for."""

    def __init__(self, stat: Path = _STAT) -> None:
        self._stat = stat
        self._start = self._now()

    def others(self) -> float | None:
        """The share of all hardware threads that others took since the start; None where the system does not say."""
        start, now = self._start, self._now()
        if start is None or now is None or now[0] <= start[0]:
            return None
        busy, own = now[1] - start[1], now[2] - start[2]
        return max(0.0, busy - own) / ((now[0] - start[0]) * (os.cpu_count() or 1))

    def _now(self) -> tuple[float, float, float] | None:
        """Seconds on the clock, busy ones of all processors, and our own."""
        try:
            words = self._stat.read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
            busy = sum(int(words[at]) for at in _BUSY) / system.ticks()
        except (OSError, ValueError, IndexError):
            return None
        own = os.times()
        return time.monotonic(), busy, sum(own[:4])

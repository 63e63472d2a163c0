"""Repeats a measurement and prints it beside its target."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from omniplan.llamacpp.fit import fit, used
from omniplan.llamacpp.flags import overrides
from omniplan.llamacpp.load import compute, memory, weights
from omniplan.llamacpp.quant import quantize
from omniplan.planning import costs, times
from omniplan.predict import cache_reads, request, traffic


def seconds(run: Callable[[], object], *, runs: int, before: Callable[[], object] = lambda: None) -> list[float]:
    """Processor time of each of ``runs`` calls of ``run``, with ``before`` called ahead of each, outside the clock.

    Nothing here waits, so on an idle machine this is wall time, and on a busy one it still tells code apart.
    """
    times = []
    for _ in range(runs):
        before()
        begin = time.process_time()
        run()
        times.append(time.process_time() - begin)
    return times


def forget() -> None:
    """Empty every cache of the simulation and of what it is fed with."""
    fed = cache_reads, costs, memory, overrides, quantize, times, traffic, weights
    for module in (compute, fit, request, used, *fed):
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


def output(code: str) -> str:
    """What ``code`` prints in a new Python process."""
    return _python(["-c", code])


def processes(arguments: Sequence[str], *, runs: int) -> list[float]:
    """Wall time of each of ``runs`` new Python processes."""
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        _python(arguments)
        times.append(time.perf_counter() - begin)
    return times


def _python(arguments: Sequence[str]) -> str:
    """Run a new Python with compiled modules, as an installed package has them, and return what it prints."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def report(what: str, times: Sequence[float], target: float, *, less: float = 0.0) -> bool:
    """Print minimum, median and target in milliseconds; whether the minimum keeps the target.

    ``less`` seconds, such as Python's own start, are taken off every time first.
    """
    best, median = (1e3 * (value - less) for value in (min(times), statistics.median(times)))
    kept = best <= 1e3 * target
    verdict = "" if kept else "  MISSED"
    print(f"{what:58} min {best:7.1f} ms  median {median:7.1f} ms  target {1e3 * target:5.0f} ms{verdict}")
    return kept

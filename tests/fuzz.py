"""The property tests again and again with fresh draws: ``python -m tests.fuzz [90s|10m|2h] [PYTEST ARGUMENTS]``.

Ends with the first failure, which hypothesis shrinks and keeps in ``.hypothesis/``: the next run begins with it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Final

_VARIABLE: Final = "OMNIPLAN_FUZZ"
IS_FUZZING: Final = _VARIABLE in os.environ
_DURATION: Final = re.compile(r"(\d+)([smh])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}
_PASSED: Final = 0


def seconds(text: str) -> int:
    """Seconds of ``"90s"``, ``"10m"`` or ``"2h"``; 0, which is without end, of nothing."""
    match = _DURATION.fullmatch(text)
    if text and match is None:
        raise SystemExit(f"{text}: expected a time such as 90s, 10m or 2h")
    return int(match[1]) * _SECONDS[match[2]] if match else 0


def fuzz(limit: int, args: Sequence[str]) -> int:
    """Rounds of all tests that draw, until one fails or ``limit`` seconds, if any, are over; pytest's exit code."""
    end = time.monotonic() + limit
    environment = {**os.environ, _VARIABLE: "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-m", "hypothesis", *(args or ["tests"])]
    for number in range(1, sys.maxsize):
        print(f"round {number}", flush=True)
        left = end - time.monotonic()
        try:
            done = subprocess.run(command, check=False, env=environment, timeout=left if limit else None)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            return _PASSED
        if done.returncode != _PASSED:
            return done.returncode
    return _PASSED


if __name__ == "__main__":
    first, *rest = sys.argv[1:] or [""]
    sys.exit(fuzz(seconds(first), rest))

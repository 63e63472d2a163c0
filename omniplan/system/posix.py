"""Processes and locks on Linux and macOS."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

# Type checkers read what follows for these alone.
assert sys.platform != "win32"

# Signals that ask a process to end: Ctrl-C, a service manager, a closed terminal.
ASKING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def group() -> dict[str, Any]:
    """Arguments of ``Popen`` that make the process lead a group of its own, which ends as one."""
    return {"start_new_session": True}


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask the group that ``process`` leads to end."""
    _signal(process, signal.SIGTERM)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End the group that ``process`` leads, at once."""
    _signal(process, signal.SIGKILL)


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    # The group outlives its leader while it has members, so its number is not another's.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock file at ``path``; raises BlockingIOError where another process does."""
    import fcntl

    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    path.unlink(missing_ok=True)


def words(command: str) -> list[str]:
    """The words of a command that somebody wrote; raises ValueError for a quote without its end."""
    return shlex.split(command)


def has_escapes() -> bool:
    """Whether a terminal here obeys codes for colours."""
    return True

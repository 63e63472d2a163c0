"""Programs of this host that are asked what it is, each with a limit of time."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from typing import Final

from omniplan.errors import InputError

# Drivers' own programs answer within a second, or wait for what does not come.
_PATIENCE: Final = 5.0


def ask(command: Sequence[str], seconds: float = _PATIENCE) -> str:
    """What a program prints; raises InputError where it is not there, fails, or does not answer in time."""
    name = command[0]
    program = shutil.which(name)
    if program is None:
        raise InputError(f"{name} is not installed")
    try:
        done = subprocess.run([program, *command[1:]], capture_output=True, timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"{name} does not answer: {error}") from error
    if done.returncode:
        said = (done.stdout or done.stderr).decode(errors="replace").strip()
        raise InputError(f"{name}: {said.splitlines()[:1]}")
    return done.stdout.decode(errors="replace")


def ask_vulkaninfo() -> str:
    """What Vulkan's drivers say of this host's GPUs."""
    return ask(["vulkaninfo"])

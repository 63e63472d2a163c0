"""The host at hand, whatever its system: Linux by its files and libraries, macOS and Windows by their own programs."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from omniplan.domain.defaults import THIS_HOST
from omniplan.domain.machine import Machine
from omniplan.errors import InputError
from omniplan.machines.probe.host import probe_machine
from omniplan.machines.probe.programs import ask
from omniplan.machines.probe.source import read_texts
from omniplan.machines.probe.windows import COMMAND

# What each system is asked; whoever knows a limit that was set comes first.
PROGRAMS: Final[Mapping[str, Sequence[Sequence[str]]]] = {
    "Darwin": (
        ("sysctl", "hw", "machdep.cpu", "iogpu"),
        ("system_profiler", "SPHardwareDataType", "SPDisplaysDataType", "-json"),
    ),
    "Windows": (("nvidia-smi", "-q", "-x"), ("powershell", "-NoProfile", "-Command", COMMAND)),
}


def _asked(command: Sequence[str]) -> str:
    # PowerShell takes seconds to start, system_profiler one or two.
    return ask(command, seconds=20.0)


def this_host(
    name: str = "",
    *,
    system: str | None = None,
    asked: Callable[[Sequence[str]], str] = _asked,
    environment: Mapping[str, str] | None = None,
) -> Machine:
    """The host at hand; raises InputError where none of its system's programs answers.

    ``system`` and ``asked`` are the seams: Python's name of the system, and who asks its programs.
    """
    commands = PROGRAMS.get(platform.system() if system is None else system)
    if commands is None:
        return probe_machine(name=name)
    texts: dict[str, str] = {}
    silent: list[str] = []
    for command in commands:
        try:
            texts[command[0]] = asked(command)
        except InputError as error:
            silent.append(str(error))
    if not texts:
        raise InputError(f"this host does not say what it is: {'; '.join(silent)}")
    return read_texts(texts, name=name or THIS_HOST, environment=os.environ if environment is None else environment)

"""Machines that nobody has described yet: this host, and those that others saved."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omniplan.domain.machine import Machine


def probe(*sources: str | Path, name: str = "") -> Machine:
    """The host at hand as a machine, or the one that ``sources`` describe together.

    A source is a file (``-`` is standard input) of what lstopo, nvidia-smi, rocm-smi, amd-smi, vulkaninfo, a Mac's
    system_profiler or sysctl, or Windows' CIM printed, a machine file, a profile's name, or a synthetic topology such
    as "pack:1 numa:4 core:8 pu:2"; later ones fill what earlier ones leave out. What cannot be seen stays unknown, and
    the machine's ``notes`` say how to supply it. Raises InputError with the path inside the source at fault.
    """
    if sources:
        from omniplan.machines.probe.source import read_source

        return read_source(*map(str, sources), name=name, environment=os.environ)
    from omniplan.machines.probe.systems import this_host

    return this_host(name)

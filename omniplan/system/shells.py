"""Which shell a person types commands to: facts of the system, since a program is not told."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from enum import Enum
from typing import Final


class Shell(Enum):
    """Shells by how they quote."""

    POSIX = "posix"
    POWERSHELL = "powershell"


def shell_of(platform: str, environment: Mapping[str, str]) -> Shell:
    """The shell on ``platform``, as Python names it: Windows' terminal opens PowerShell, but for MSYS2 and Git Bash."""
    return Shell.POWERSHELL if platform == "win32" and "MSYSTEM" not in environment else Shell.POSIX


SHELL: Final = shell_of(sys.platform, os.environ)

"""Where programs keep what a user has set, and what can be had again: by each system's own rules."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """One kind of folder: the variable that names it, else the place under the home folder, by system."""

    windows: tuple[str, str]
    xdg: tuple[str, str]
    darwin: str


# XDG Base Directory Specification; Apple's File System Programming Guide; Windows' known folders.
CONFIGURATION: Final = Folder(
    windows=("APPDATA", "AppData/Roaming"), xdg=("XDG_CONFIG_HOME", ".config"), darwin="Library/Application Support"
)
CACHE: Final = Folder(
    windows=("LOCALAPPDATA", "AppData/Local"), xdg=("XDG_CACHE_HOME", ".cache"), darwin="Library/Caches"
)


def folder(kind: Folder) -> Path:
    """Our own folder of a kind; it may not be there yet."""
    home = Path(os.path.expanduser("~"))
    if sys.platform == "darwin":
        return home / kind.darwin / "omniplan"
    variable, usual = kind.windows if sys.platform == "win32" else kind.xdg
    return Path(os.environ.get(variable) or home / usual) / "omniplan"

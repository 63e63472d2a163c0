"""What a path that leads nowhere may have meant."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from omniplan.errors import nearest

# Names that a line still shows.
_SHOWN: Final = 3


def near_file(path: str | Path) -> str:
    """What to try for a file that is not there: one of like name in its folder, else what of its kind lies there."""
    wanted = Path(path)
    try:
        names = sorted(os.listdir(wanted.parent))
    except OSError:
        return f"there is no folder {wanted.parent}"
    alike = [name for name in names if Path(name).suffix.lower() == wanted.suffix.lower()]
    if near := nearest(wanted.name, alike):
        return f"did you mean {wanted.parent / near}?"
    if wanted.suffix and alike:
        more = f" and {len(alike) - _SHOWN} more" if len(alike) > _SHOWN else ""
        return f"that folder has {', '.join(alike[:_SHOWN])}{more}"
    return "look at the path once more"

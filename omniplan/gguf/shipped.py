"""Headers that come with omniplan: models to try it with, found by name as machine profiles are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from omniplan.documents.source import shipped_files
from omniplan.errors import nearest
from omniplan.gguf.location import Located

_ENDING: Final = ".gguf"


def shipped() -> dict[str, Path]:
    """The shipped headers by name."""
    return shipped_files("models", _ENDING)


def is_shipped(name: str) -> bool:
    """Whether it names one of them, with or without its ending."""
    return name.removesuffix(_ENDING) in shipped()


def located(name: str) -> Located | None:
    """Where the header of that name is read; None for any other name, and for one that a file here has."""
    if os.path.exists(name) or not is_shipped(name):
        return None
    path = shipped()[name.removesuffix(_ENDING)]
    return Located(place=path, base=f"{path.parent}{os.sep}")


def meant(name: str) -> str:
    """What to try instead of a name that no file has; "" where none of them is like it."""
    near = "" if os.path.dirname(name) else nearest(name.removesuffix(_ENDING), shipped())
    return f"did you mean {near}, a header that comes with omniplan?" if near else ""

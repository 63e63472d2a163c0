"""A user's own rows: where they lie, and how they stand over the shipped ones."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from omniplan import system
from omniplan.documents.record import unknown
from omniplan.documents.toml_text import read_toml
from omniplan.errors import InputError, TableError

# The folder itself, in place of the platform's.
VARIABLE: Final = "OMNIPLAN_DATA"
# Tables that a user may add to; all others state what llama.cpp and our own texts do.
TABLES: Final = ("calibration.toml", "cpus.toml", "gpus.toml")


def own_folder() -> Path | None:
    """The folder of a user's own rows, None where there is none; raises TableError for one that is named in vain."""
    if given := os.environ.get(VARIABLE):
        if not Path(given).is_dir():
            raise TableError(f"{VARIABLE}: {given}: no such folder")
        return Path(given)
    folder = system.folder(system.CONFIGURATION)
    return folder if folder.is_dir() else None


def made_folder(name: str) -> Path:
    """The folder ``name`` in it, made where there is none yet; raises InputError where it cannot be."""
    folder = (own_folder() or system.folder(system.CONFIGURATION)) / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made: {error.strerror}") from error
    return folder


def own_path(name: str) -> Path | None:
    """A user's own rows of the table ``name``; raises TableError where the folder holds a table there is not."""
    folder = own_folder() if name in TABLES else None
    for path in sorted(folder.glob("*.toml")) if folder else ():
        if path.name not in TABLES:
            raise TableError(f"{path}: {unknown(path.name, TABLES, what='table')}; machines lie in machines/")
    return folder / name if folder and (folder / name).is_file() else None


def over(shipped: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """``shipped`` with the rows at ``path``: one with the same group and name takes the place of the shipped one."""
    merged = dict(shipped)
    for group, rows in read_toml(path).items():
        if not isinstance(rows, dict):
            raise InputError(f"{group}: expected a table, got {type(rows).__name__}")
        merged[group] = {**merged.get(group, {}), **rows}
    return merged

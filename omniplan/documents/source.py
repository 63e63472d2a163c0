"""Where the shipped tables lie, and how one of them is read."""

from __future__ import annotations

from pathlib import Path
from typing import Final, TypeVar

from omniplan.documents.record import read
from omniplan.documents.toml_text import read_toml
from omniplan.errors import InputError, TableError

T = TypeVar("T")

_PACKAGE: Final = Path(__file__).resolve().parent.parent

# A wheel carries the tables inside the package; an editable install and a bare checkout keep them beside it.
DATA_DIRECTORIES: Final = (_PACKAGE / "data", _PACKAGE.parent / "data")


def data_path(name: str) -> Path:
    """Path of the shipped file ``name``; a ``TableError`` when no data directory has it."""
    for directory in DATA_DIRECTORIES:
        if (path := directory / name).is_file():
            return path
    places = " or ".join(str(directory) for directory in DATA_DIRECTORIES)
    raise TableError(f"{name}: not found in {places}")


def read_table(name: str, kind: type[T]) -> T:
    """The table ``name`` as a ``kind``; a ``TableError`` with the path of the first wrong field. Callers keep it."""
    try:
        return read(kind, read_toml(data_path(name)))
    except InputError as error:
        raise TableError(f"{name}: {error}") from error

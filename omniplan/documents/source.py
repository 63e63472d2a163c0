"""Where the shipped tables lie, and how one of them is read."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

from omniplan.errors import InputError, TableError

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


@cache
def read_table(name: str) -> dict[str, Any]:
    """The TOML table ``name`` as read; parsed once per process, so callers must not change it."""
    path = data_path(name)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TableError(f"{path}: {error}") from error


@contextmanager
def wrong_rows(name: str) -> Iterator[None]:
    """Turn what is wrong with a field of the table ``name`` into a ``TableError``."""
    try:
        yield
    except InputError as error:
        raise TableError(f"{name}: {error}") from error

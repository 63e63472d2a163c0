"""Where the shipped tables lie, and how one of them is read."""

from __future__ import annotations

from pathlib import Path
from typing import Final, TypeVar

from omniplan.documents.own import over, own_path
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


def shipped_files(folder: str, ending: str) -> dict[str, Path]:
    """The files of a shipped folder by name, without their ``ending``; none where there is no such folder."""
    found = next((path for place in DATA_DIRECTORIES if (path := place / folder).is_dir()), None)
    return {} if found is None else {path.name.removesuffix(ending): path for path in sorted(found.glob(f"*{ending}"))}


def read_table(name: str, kind: type[T], *, is_whole: bool = True) -> T:
    """The table ``name`` as a ``kind``, unless not ``is_whole`` with a user's own rows over the shipped ones.

    Raises TableError with the file and the path of the first wrong field. Callers keep the table.
    """
    own = own_path(name) if is_whole else None
    try:
        raw = read_toml(data_path(name))
        return read(kind, over(raw, own) if own else raw)
    except InputError as error:
        # What is shipped is tested, so that a fault is the user's own.
        raise TableError(f"{own or name}: {error}") from error

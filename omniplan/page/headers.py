"""The models that the page knows: those of the catalogue, and those whose headers it was shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from omniplan.documents.source import DATA_DIRECTORIES
from omniplan.domain.header import Header
from omniplan.domain.model import Model
from omniplan.errors import HeaderError, InputError
from omniplan.gguf import read_header
from omniplan.gguf.beginning import header_extent
from omniplan.gguf.model import build_model
from omniplan.gguf.place import beside, name_of
from omniplan.llamacpp.quant.requantise import requantise


@cache
def catalogue() -> Mapping[str, Path]:
    """The shipped headers by name."""
    folders = (directory / "models" for directory in DATA_DIRECTORIES)
    folder = next((folder for folder in folders if folder.is_dir()), None)
    found = sorted(folder.glob("*.gguf"), key=lambda path: path.name.casefold()) if folder else ()
    return {path.stem: path for path in found}


@dataclass(slots=True)
class _Pile:
    """The headers of the files of one place, by their names, and whether tensor data lies behind any."""

    parts: dict[str, bytes] = field(default_factory=dict)
    has_data: bool = False


class Shelf:
    """Headers that were shown, by the place they are from, and the models made of them and of the catalogue's."""

    def __init__(self) -> None:
        self._piles: dict[str, _Pile] = {}
        self._models: dict[str, dict[str, Model]] = {}

    def show(self, place: str, file: str, size: int, beginning: bytes | memoryview) -> bool:
        """Take the first bytes of ``file``, one of those at ``place``; False when its header is longer than these.

        Raises HeaderError.
        """
        name = _bare(file)
        extent = header_extent(name, size, beginning)
        if extent is None:
            return False
        self._models.pop(place, None)
        pile = self._piles.setdefault(place, _Pile())
        pile.parts[name] = bytes(beginning[: extent.end])
        pile.has_data |= not extent.header_only
        return True

    def model(self, place: str, quant: str) -> Model:
        """The model at ``place``, or of that name in the catalogue; ``quant`` retypes it, "" leaves it as it is.

        Raises InputError for a place that nobody has shown or a quant that there is not, HeaderError and
        UnsupportedModel.
        """
        known = self._models.setdefault(place, {})
        if "" not in known:
            known[""] = build_model(self._header(place))
        if quant not in known:
            known[quant] = _retyped(known[""], quant)
        return known[quant]

    def _header(self, place: str) -> Header:
        if place in catalogue():
            return replace(read_header(catalogue()[place]), paths=(f"{place}.gguf",))
        if place not in self._piles:
            raise InputError("is not in the catalogue; choose the file again", field="model", value=place)
        with TemporaryDirectory() as folder:
            for name, data in self._piles[place].parts.items():
                Path(folder, name).write_bytes(data)
            header = read_header(Path(folder, _bare(place)))
        has_data = self._piles.pop(place).has_data
        paths = tuple(beside(place, Path(path).name) for path in header.paths)
        return replace(header, paths=paths, header_only=not has_data)


def _retyped(model: Model, quant: str) -> Model:
    try:
        return requantise(model, quant)
    except InputError as error:
        raise InputError(error.problem, field="quant", value=quant) from error


def _bare(place: str) -> str:
    """The name of a file alone, whatever is written in front of it."""
    name = name_of(place).rpartition("/")[2]
    if name in {"", ".", ".."} or "\0" in name:
        raise HeaderError(place, "names no file", remedy="name a file of GGUF")
    return name

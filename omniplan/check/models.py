"""Finding and reading the model files that commands name: each file once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from omniplan.check.case import Case, Companion
from omniplan.domain.header import Header
from omniplan.domain.model import Model
from omniplan.errors import HeaderError, OmniplanError, UnsupportedModel
from omniplan.gguf import read_header
from omniplan.gguf.model import build_model

_PART: Final = re.compile(r"-\d{5}-of-(\d{5})\.gguf$")
_COMPANIONS: Final = ("mmproj", "spec-draft-model")

Found = Model | OmniplanError | None


class Models:
    """Models by path, for a file in ``folder``; ``given`` replaces the one that a command names."""

    def __init__(self, folder: Path, given: Model | None) -> None:
        self._folder = folder
        self._given = given
        self._known: dict[Path, Found] = {}

    def found(self, named: str) -> Found:
        """The model that a command calls ``named``, the error of a file that is there, None for no file."""
        for path in self._places(named):
            if (known := self._read(path)) is not None:
                return known
        return None

    def _read(self, path: Path) -> Found:
        """What lies at ``path``, read once."""
        if path not in self._known:
            self._known[path] = _load(path)
        return self._known[path]

    def model_of(self, case: Case, all_named: frozenset[str]) -> Found:
        """The model of a command; the given one only where the file does not name it for another command."""
        named = case.params.model or ""
        if self._given is not None:
            own = {Path(path).name for path in self._given.header.paths}
            is_named = any(Path(name).name in own for name in all_named)
            if not is_named or Path(named).name in own:
                return self._given
        return self.found(named) if named else None

    def companions(self, case: Case) -> Iterator[Companion]:
        """Projector and draft model of a command, where their files are there."""
        for key in _COMPANIONS:
            option = case.option(key)
            path = next(filter(_is_file, self._places(option.value)), None) if option and option.value else None
            if option is not None and path is not None:
                known = self._read(path)
                model = known if isinstance(known, Model) else None
                header = model.header if model else _header(path)
                nbytes = header.file_bytes if header else path.stat().st_size
                yield Companion(option=option, nbytes=nbytes, header=header, model=model)

    def adapters(self, case: Case) -> tuple[Header, ...]:
        """Headers of a command's adapters; none unless every one of them is there."""
        found = [
            header
            for file in case.params.adapters
            if (path := next(filter(_is_file, self._places(file.path)), None)) and (header := _header(path))
        ]
        return tuple(found) if len(found) == len(case.params.adapters) else ()

    def _places(self, named: str) -> Iterator[Path]:
        """Where the file may be: as written, beside the file that names it, in the folder mounted as /models."""
        if "\0" in named:
            return
        path = Path(named)
        yield path
        if not path.is_absolute():
            yield self._folder / path
        elif named.startswith("/models/"):
            yield self._folder / "models" / named.removeprefix("/models/")
            yield self._folder / named.removeprefix("/models/")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _load(path: Path) -> Found:
    if not _is_file(path):
        return _missing_part(path)
    try:
        return build_model(read_header(path))
    except (HeaderError, UnsupportedModel) as error:
        return error


def _header(path: Path) -> Header | None:
    """What a file says that is no language model, such as a projector."""
    try:
        return read_header(path)
    except HeaderError:
        return None


def _missing_part(path: Path) -> HeaderError | None:
    """The error of a split model whose named part is not there while others are."""
    part = _PART.search(path.name)
    if part is None:
        return None
    count = int(part[1])
    prefix = path.name[: part.start()]
    others = [number for number in range(1, min(count, 1000) + 1) if _is_file(_part(path, prefix, number, count))]
    if not others:
        return None
    problem = f"is missing, {len(others)} of the model's {count} files are there"
    return HeaderError(path, problem, remedy="download it next to them")


def _part(path: Path, prefix: str, number: int, count: int) -> Path:
    return path.with_name(f"{prefix}-{number:05d}-of-{count:05d}.gguf")

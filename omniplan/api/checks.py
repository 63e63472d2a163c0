"""The critic: what is wrong with arguments or files that people already have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omniplan.api.source import build_of, machine_of, model_of
from omniplan.domain.progress import unwatched

if TYPE_CHECKING:
    from omniplan.api.source import MachineSource, ModelSource
    from omniplan.check.document import Document
    from omniplan.check.folder import FolderReport
    from omniplan.check.values import CheckReport
    from omniplan.domain.progress import Progress


def check(
    source: str | Path | Sequence[str],
    *,
    model: ModelSource | None = None,
    machine: MachineSource | None = None,
    env: Mapping[str, str] | None = None,
    build: int | str | None = None,
) -> CheckReport:
    """Findings about a file, or about llama-server's arguments when ``source`` is a sequence of them.

    Read are shell scripts, ``models.conf``, llama.cpp presets, llama-swap and Compose files, ``.env`` files,
    Dockerfiles, CMake files and logs; ``env`` stands beside bare arguments. Model files that are named and there are
    read, each once; ``model`` takes the place of the one named, or of the one of that name where a file names several.
    With a model and a ``machine`` findings are computed: bytes, graph splits and speeds as in ``footprint`` and
    ``predict``. ``build`` is the llama.cpp that is meant (None: the one of the image or folder, else the default).
    Raises InputError for a file that cannot be read, HeaderError for a ``model`` that cannot.
    """
    from omniplan.check import document
    from omniplan.documents.text_file import read_text

    if isinstance(source, str | Path):
        return check_text(read_text(source), name=str(source), model=model, machine=machine, build=build)
    return _checked(document.of_arguments(source, env or {}), model, machine, build)


def check_text(
    text: str,
    *,
    name: str,
    model: ModelSource | None = None,
    machine: MachineSource | None = None,
    build: int | str | None = None,
) -> CheckReport:
    """The same about the text of a file, whose ``name`` tells its format and stands in the findings."""
    from omniplan.check import document

    return _checked(document.read(name, text), model, machine, build)


def _checked(
    found: Document, model: ModelSource | None, machine: MachineSource | None, build: int | str | None
) -> CheckReport:
    from omniplan.check.engine import check as run

    number = None if build is None else build_of(build)
    target = None if machine is None else machine_of(machine)
    return run(found, model=None if model is None else model_of(model), machine=target, build=number)


def check_files(
    places: Sequence[str | Path],
    *,
    model: ModelSource | None = None,
    machine: MachineSource | None = None,
    build: int | str | None = None,
    baseline: str | None = None,
    progress: Progress = unwatched,
) -> FolderReport:
    """Findings about every file at or below ``places`` that speaks of llama.cpp, each as ``check`` says them.

    ``baseline`` is the text of one: the findings that it accepts are left out. ``progress`` is told of every file.
    """
    from omniplan.check.folder import check_places
    from omniplan.check.outputs import accepted_in, without

    shared = None if model is None else model_of(model)
    accepted = accepted_in(baseline) if baseline else frozenset()

    def ask(path: Path) -> CheckReport:
        report = check(path, model=shared, machine=machine, build=build)
        return without(report, accepted)

    return check_places([Path(place) for place in places], ask, progress)

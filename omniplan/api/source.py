"""Where a verb's model and machine come from."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from omniplan.domain.progress import unwatched

# What the names of machine files end with; anything else may be words.
_FILES: Final = (".toml", ".json")

if TYPE_CHECKING:
    from omniplan.domain.machine import Machine
    from omniplan.domain.model import Model
    from omniplan.domain.params import ServerParams
    from omniplan.domain.plan import Plan
    from omniplan.domain.progress import Progress
    from omniplan.domain.request import PlacementChanges, Request, RequestChanges

    ModelSource = str | Path | Model
    MachineSource = str | Path | Machine


def load_model(
    path: str | Path,
    *,
    draft: str | Path | None = None,
    mmproj: str | Path | None = None,
    progress: Progress = unwatched,
) -> Model:
    """The model in the GGUF file at ``path`` (any shard of a set), with the files that are loaded beside it.

    ``path`` may also be an ``https://`` address, of which only the header is read, ``hf:OWNER/REPO:QUANT`` or
    ``ollama:NAME:TAG``, whose projector comes with it; ``progress`` is told what is read there.

    Raises HeaderError or UnsupportedModel.
    """
    from omniplan.domain.model import Companions
    from omniplan.gguf import read_header
    from omniplan.gguf.model import build_model
    from omniplan.gguf.ollama import projector

    mmproj = projector(path) if mmproj is None else mmproj
    return build_model(
        read_header(path, progress=progress),
        Companions(
            draft=None if draft is None else load_model(draft),
            projector=None if mmproj is None else read_header(mmproj),
        ),
    )


def served(source: ModelSource, params: ServerParams) -> Model:
    """The model, with what ``params`` load beside it as far as those files are there."""
    from omniplan.gguf.companions import with_companions

    return with_companions(model_of(source), params)


def is_described(name_or_path: str | Path) -> bool:
    """Whether it is a profile or a machine file, rather than words or this host."""
    from omniplan.documents.text_file import STDIN
    from omniplan.machines import files

    text = str(name_or_path)
    is_file = isinstance(name_or_path, Path) or text == STDIN or text.endswith(_FILES) or os.path.exists(text)
    return is_file or text in files.profiles()


def load_machine(name_or_path: str | Path) -> Machine:
    """A profile by name, a machine file, a machine in words, or ``this-host``, which is probed.

    Raises InputError with the path inside the file.
    """
    from omniplan.domain.defaults import THIS_HOST
    from omniplan.errors import InputError, nearest
    from omniplan.machines import files

    if is_described(name_or_path):
        return files.load_machine(name_or_path)
    # A profile needs neither of these, which take as long to import as all the rest.
    from omniplan.machines.probe.systems import this_host
    from omniplan.machines.probe.words import machine_from_words

    if name_or_path == THIS_HOST:
        return this_host()
    try:
        return machine_from_words(str(name_or_path))
    except InputError as error:
        profiles = files.profiles()
        if near := nearest(str(name_or_path), profiles):
            problem = f"machine {name_or_path}: no profile, no file, and no words that are understood"
            raise InputError(f"{problem}; did you mean {near}?") from error
        if re.search(r"[\s,]", str(name_or_path)):
            raise
        raise InputError(f"{error}; nor is it a file or one of {', '.join(profiles)}") from error


def machine_of(source: MachineSource) -> Machine:
    """The machine itself, or the one of that name or file."""
    return load_machine(source) if isinstance(source, str | Path) else source


def build_of(build: int | str) -> int:
    """The number of a build: its name, an image's tag, "latest known", or ``auto`` for the llama-server at hand.

    Raises InputError for anything else, and where no llama-server is found or it does not say.
    """
    from omniplan.domain.defaults import AUTO_BUILD
    from omniplan.llamacpp.build import build_number

    if build != AUTO_BUILD:
        return build_number(build)
    from omniplan.machines.probe import llama_server

    return llama_server.version(llama_server.find())


def requested(request: Request | None, build: int | str | None, changes: RequestChanges | PlacementChanges) -> Request:
    """``request``, or the default one, with these changes, for ``build`` where one is given; raises InputError."""
    from omniplan.domain.request import DEFAULT

    asked = replace(request or DEFAULT, **changes)
    return asked if build is None else replace(asked, build=build_of(build))


def with_projector(model: Model, request: Request) -> Request:
    """The request with the projector that lies beside ``model``, where it names none."""
    beside = model.companions.projector
    return replace(request, mmproj=beside.paths[0]) if beside and request.mmproj is None else request


def calibrated(machine: Machine, calibration: str | Path | None, model: ModelSource) -> Machine:
    """``machine`` with what its own runs taught; raises InputError.

    That stands in a file that ``omniplan calibrate`` wrote, or in measurements of ``model`` on such a machine.
    """
    if calibration is None:
        return machine
    from omniplan.api.evidence import is_of_measurements, load_measurements
    from omniplan.predict import learned
    from omniplan.predict.known import learn_measured

    where = str(calibration)
    if not is_of_measurements(calibration):
        return learned.apply(learned.load(calibration), machine, where=where)
    taught = learn_measured(model_of(model), load_measurements(calibration), machine, source=where)
    return learned.apply(taught, machine, where=where)


def load_plan(path: str | Path) -> Plan:
    """The plan file at ``path``, as ``omniplan plan --json`` writes it; raises InputError with the path inside it."""
    from omniplan.api import documents

    return documents.load_plan(path)


def model_of(source: ModelSource) -> Model:
    """The model itself, or the one at that path."""
    return load_model(source) if isinstance(source, str | Path) else source

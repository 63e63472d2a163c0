"""Where a verb's model, machine and headroom come from."""

from __future__ import annotations

from pathlib import Path

from omniplan.domain.headroom import Headroom
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model

ModelSource = str | Path | Model


def load_model(path: str | Path) -> Model:
    """The model in the GGUF file at ``path`` (any shard of a set); raises HeaderError or UnsupportedModel."""
    from omniplan.gguf import read_header
    from omniplan.gguf.model import build_model

    return build_model(read_header(path))


def load_machine(name_or_path: str | Path) -> Machine:
    """A shipped profile by name, or a machine file; raises InputError with the path inside the file."""
    from omniplan.machines import files as machine

    return machine.load_machine(name_or_path)


def calibrated(machine: Machine, calibration: str | Path | None) -> Machine:
    """``machine`` with what its own runs taught, from a file that ``omniplan calibrate`` wrote; raises InputError."""
    if calibration is None:
        return machine
    from omniplan.predict import learned

    return learned.apply(learned.load(calibration), machine, where=str(calibration))


def model_of(source: ModelSource) -> Model:
    """The model itself, or the one at that path."""
    return source if isinstance(source, Model) else load_model(source)


def headroom_of(given: Headroom | str | int | None) -> Headroom:
    """The policy itself, or the one written in words; the default for None."""
    if isinstance(given, Headroom):
        return given
    return Headroom() if given is None else Headroom.parse(str(given))

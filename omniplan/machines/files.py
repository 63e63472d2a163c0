"""Machine files: TOML a person can write by hand."""

from __future__ import annotations

from pathlib import Path

from omniplan.documents.document import from_toml
from omniplan.documents.source import DATA_DIRECTORIES
from omniplan.documents.text_file import read_utf8
from omniplan.documents.toml_text import to_toml
from omniplan.domain.machine import Machine
from omniplan.errors import InputError


def shipped() -> dict[str, Path]:
    """The shipped profiles by name."""
    folders = (directory / "machines" for directory in DATA_DIRECTORIES)
    folder = next((folder for folder in folders if folder.is_dir()), None)
    return {} if folder is None else {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load_machine(name_or_path: str | Path) -> Machine:
    """The shipped profile of that name, or the machine file at that path; raises InputError with the path inside it."""
    profiles = shipped()
    path = profiles.get(str(name_or_path)) or Path(name_or_path)
    try:
        text = read_utf8(path)
    except InputError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        known = ", ".join(profiles)
        raise InputError(f"{name_or_path}: no such profile or machine file; shipped profiles are {known}") from error
    return parse_machine(text, where=str(path))


def parse_machine(text: str, *, where: str = "machine") -> Machine:
    """The machine written in ``text``; raises InputError with ``where`` and the path inside it."""
    return from_toml(Machine, text, where=where, what="machine file")


def machine_toml(machine: Machine) -> str:
    """``machine`` as the text of a machine file, which ``parse_machine`` reads back to an equal machine."""
    return to_toml(machine.to_dict())

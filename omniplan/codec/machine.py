"""Machine files: TOML a person can write by hand."""

from __future__ import annotations

import tomllib
from pathlib import Path

from omniplan.domain.machine import Machine
from omniplan.errors import InputError
from omniplan.tables.source import data_folder


def shipped() -> dict[str, Path]:
    """The shipped profiles by name."""
    return {path.stem: path for path in sorted((data_folder() / "machines").glob("*.toml"))}


def load_machine(name_or_path: str | Path) -> Machine:
    """The shipped profile of that name, or the machine file at that path; raises InputError with the path inside it."""
    profiles = shipped()
    path = profiles.get(str(name_or_path)) or Path(name_or_path)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        known = ", ".join(profiles)
        raise InputError(f"{name_or_path}: no such profile or machine file; shipped profiles are {known}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a TOML machine file: {error}") from error
    try:
        return Machine.from_dict(raw)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error

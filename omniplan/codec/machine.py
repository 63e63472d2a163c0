"""Machine files: TOML a person can write by hand."""

from __future__ import annotations

import tomllib
from pathlib import Path

from omniplan.domain.machine import Machine
from omniplan.errors import InputError
from omniplan.tables.source import DATA_DIRECTORIES


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
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        known = ", ".join(profiles)
        raise InputError(f"{name_or_path}: no such profile or machine file; shipped profiles are {known}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise InputError(f"{path}: cannot be read: {reason}") from error
    return parse_machine(text, where=str(path))


def parse_machine(text: str, *, where: str = "machine") -> Machine:
    """The machine written in ``text``; raises InputError with ``where`` and the path inside it."""
    try:
        raw = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not a TOML machine file: {str(error) or 'nested too deeply'}") from error
    try:
        return Machine.from_dict(raw)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error

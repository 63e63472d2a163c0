"""Machine files: TOML a person can write by hand."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final

from omniplan.documents.source import DATA_DIRECTORIES
from omniplan.documents.toml_text import quoted
from omniplan.domain.machine import Machine
from omniplan.errors import InputError

# A list longer than this is written one item per line.
_WIDTH: Final = 100


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


def machine_toml(machine: Machine) -> str:
    """``machine`` as the text of a machine file, which ``parse_machine`` reads back to an equal machine."""
    return "\n".join(_table(machine.to_dict(), "")).strip() + "\n"


def _table(table: dict[str, Any], path: str) -> list[str]:
    """A table's own keys, then the tables inside it; a child's header stands before the child's keys."""
    lines: list[str] = []
    inner: list[str] = []
    for key, value in table.items():
        at = f"{path}.{key}" if path else key
        if isinstance(value, dict):
            inner += ["", f"[{at}]", *_table(value, at)]
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for item in value:
                inner += ["", f"[[{at}]]", *_table(item, at)]
        else:
            lines.append(f"{key} = {_value(value)}")
    return [*lines, *inner]


def _value(value: object) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        items = [_value(item) for item in value]
        line = f"[{', '.join(items)}]"
        return line if len(line) < _WIDTH else "\n".join(("[", *(f"  {item}," for item in items), "]"))
    return repr(value)

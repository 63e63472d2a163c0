"""Machine files: TOML a person can write by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from omniplan.documents.document import from_text
from omniplan.documents.near_file import near_file
from omniplan.documents.own import own_folder
from omniplan.documents.source import shipped_files
from omniplan.documents.text_file import read_utf8
from omniplan.documents.toml_text import to_toml
from omniplan.domain.machine import Machine
from omniplan.errors import InputError, nearest

# A machine's own calibration lies beside its file.
CALIBRATION: Final = ".calibration.toml"


def shipped() -> dict[str, Path]:
    """The shipped profiles by name."""
    return shipped_files("machines", ".toml")


def profiles() -> dict[str, Path]:
    """The shipped profiles and a user's own by name; one of one's own takes the place of a shipped one."""
    folder = own_folder()
    own = sorted((folder / "machines").glob("*.toml")) if folder else ()
    found = {**shipped(), **{path.stem: path for path in own if not path.name.endswith(CALIBRATION)}}
    return dict(sorted(found.items()))


def path_of(name_or_path: str | Path) -> Path:
    """Where the profile of that name lies, or the path itself."""
    return profiles().get(str(name_or_path)) or Path(name_or_path)


def load_machine(name_or_path: str | Path) -> Machine:
    """The profile of that name, or the machine file at that path; raises InputError with the path inside it."""
    path, text = _text_of(name_or_path)
    return parse_machine(text, where=str(path))


def parse_machine(text: str, *, where: str = "machine") -> Machine:
    """The machine written in ``text``; raises InputError with ``where`` and the path inside it.

    A host's machine may be a profile's name, or a file, which is sought beside this one first.
    """

    def complete(raw: Any) -> Any:
        hosts = raw.get("hosts") if isinstance(raw, dict) else None
        return {**raw, "hosts": [_described(host, where) for host in hosts]} if isinstance(hosts, list) else raw

    return from_text(Machine, text, where=where, what="machine file", complete=complete)


def _text_of(name_or_path: str | Path) -> tuple[Path, str]:
    path = path_of(name_or_path)
    try:
        return path, read_utf8(path)
    except InputError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        near = nearest(Path(name_or_path).stem, profiles())
        hint = f"did you mean {near}?" if near else f"{near_file(path)}, or take one of {', '.join(profiles())}"
        raise InputError(f"{name_or_path}: no such profile or machine file; {hint}") from error


def _described(host: Any, where: str) -> Any:
    """A row of hosts with the machine itself where the file has its name."""
    name = host.get("machine") if isinstance(host, dict) else None
    if not isinstance(name, str):
        return host
    beside = Path(where).parent / name
    path, text = _text_of(name if name in profiles() or not beside.is_file() else beside)
    machine = from_text(Machine, text, where=str(path), what="machine file")
    return {**host, "machine": machine.to_dict()}


def machine_toml(machine: Machine) -> str:
    """``machine`` as the text of a machine file, which ``parse_machine`` reads back to an equal machine."""
    return to_toml(machine.to_dict())

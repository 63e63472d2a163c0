"""Libraries of other builds: unpacked from a wheel, fetched by a wheel's name and version, or built in a folder.

Two packages carry llama.cpp whole: ``xllamacpp`` as one object, ``llama-cpp-py-sync`` as several, with declarations of
their own headers. The last part of either's version is the build.
"""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

from omniplan.certify.elf import relaxed
from omniplan.certify.library import Library
from omniplan.errors import InputError

_BINDINGS: Final = "_cffi_bindings.py"
# The object that all others are linked into, the best first.
_OBJECTS: Final = ("libmtmd.so*", "libllama.so*", "xllamacpp*.so")
_BUILD: Final = re.compile(r"(?:\.|\bb|-b)(\d{4,6})(?!\d)")


def find(what: str, folder: Path, *, build: int | None = None) -> Library:
    """The library ``what``: a wheel's file, "name==version" of a wheel on the package index, or a folder of objects.

    Objects are unpacked into ``folder``, and those that ask for a newer C library are relaxed there. ``build`` is read
    out of the name unless given. Raises InputError when there is no library, or nobody says its build.
    """
    source = _fetched(what, folder) if "==" in what else Path(what)
    number = build or _number(source)
    unpacked = _unpack(source, folder) if source.suffix == ".whl" else _copy(source, folder)
    objects = (path for pattern in _OBJECTS for path in sorted(unpacked.glob(pattern)))
    opened = next(objects, None)
    if opened is None:
        raise InputError(f"{what}: holds no library of llama.cpp for Linux; expected {', '.join(_OBJECTS)}")
    bindings = unpacked / _BINDINGS
    name = "-".join(source.name.split("-")[:2]).replace("_", "-") if source.suffix == ".whl" else source.name
    return Library(name=name, build=number, path=str(opened), bindings=str(bindings) if bindings.exists() else "")


def _number(source: Path) -> int:
    found = _BUILD.findall(source.name)
    if not found:
        raise InputError(f"{source}: its name does not say which build it is; state it")
    return int(found[-1])


def _fetched(requirement: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    done = subprocess.run([*command, "-d", str(folder), requirement], capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        said = (done.stderr.strip().splitlines() or ["no wheel"])[-1]
        raise InputError(f"{requirement}: expected a wheel that pip can fetch: {said}")
    return wheels[0]


def _unpack(wheel: Path, folder: Path) -> Path:
    """Objects and declarations of a wheel, by their own names alone."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                name = Path(member).name
                if ".so" in name:
                    _write(folder / name, archive.read(member))
                elif name == _BINDINGS:
                    (folder / name).write_bytes(archive.read(member))
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{wheel}: cannot be unpacked: {error}") from error
    return folder


def _copy(source: Path, folder: Path) -> Path:
    """``source`` itself, or relaxed copies of its objects where one of them needs that."""
    if not source.is_dir():
        raise InputError(f"{source}: expected a wheel, a folder, or name==version of a wheel")
    objects = {path: path.read_bytes() for path in source.glob("*.so*")}
    if all(relaxed(data) == data for data in objects.values()):
        return source
    for path, data in objects.items():
        _write(folder / path.name, data)
    for path in source.glob(_BINDINGS):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(relaxed(data))
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from error

"""The user's cache folder of headers that were read elsewhere: shared by processes, bounded, never trusted blindly."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from omniplan import system
from omniplan.units import MIB

# Some thirty headers with a large vocabulary, hundreds without.
MAX_KEPT: Final = 256 * MIB
_SUFFIX: Final = ".header"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptHeader:
    """The first bytes of a file, its whole size, and what its server called that state of it (``validator``)."""

    size: int
    validator: str
    data: bytes


def folder() -> Path:
    """Where they are kept: ``OMNIPLAN_CACHE``, else the platform's folder for what can be had again."""
    if named := os.environ.get("OMNIPLAN_CACHE"):
        return Path(named) / "headers"
    return system.folder(system.CACHE) / "headers"


def find(url: str) -> KeptHeader | None:
    """What is kept of the file at ``url``; None where nothing is, or where it is damaged."""
    path = _path(url)
    try:
        with path.open("rb") as file:
            head, data = file.readline(MIB), file.read(MAX_KEPT)
        known = json.loads(head)
        if [known["url"], known["sha256"]] != [url, hashlib.sha256(data).hexdigest()]:
            return None
        os.utime(path)
        return KeptHeader(size=int(known["size"]), validator=str(known["validator"]), data=data)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def keep(url: str, kept: KeptHeader) -> None:
    """Keep it, and let go of what was not used for longest; a folder that cannot be written keeps nothing."""
    head = {"url": url, "size": kept.size, "validator": kept.validator, "sha256": hashlib.sha256(kept.data).hexdigest()}
    path = _path(url)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Others see the old file or the new one, never a part of it.
        number, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(number, "wb") as file:
                file.write(json.dumps(head).encode() + b"\n" + kept.data)
            os.replace(name, path)
        except OSError:
            os.unlink(name)
            raise
        _evict(path.parent)


def _evict(where: Path) -> None:
    """Remove the oldest files until the rest is within bounds; another process may do the same."""
    files = []
    for path in where.glob(f"*{_SUFFIX}"):
        with suppress(OSError):
            status = path.stat()
            files.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= MAX_KEPT:
            return
        with suppress(OSError):
            path.unlink()
        total -= size


def _path(url: str) -> Path:
    return folder() / f"{hashlib.sha256(url.encode()).hexdigest()}{_SUFFIX}"

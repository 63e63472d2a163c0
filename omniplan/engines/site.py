"""Facts of a host that no machine file holds: CUDA, driver, kernel, sandbox, disk, and which weights are there."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from omniplan.documents.fields import Fields
from omniplan.documents.source import data_path
from omniplan.errors import InputError, TableError
from omniplan.units import gib

_VERSION: Final = r"\d+(\.\d+)*([-+~].*)?"
_FORMATS: Final = ("bf16", "exl3", "fp16", "fp8", "gguf", "nvfp4")
_TRUE_FALSE: Final = {"true": True, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What is known of a host beside its machine file; None and "" mean unknown, and unknown stays unknown; a sandbox
    is one only where it is named.

    ``cuda``, ``driver`` and ``kernel`` are versions, ``sandbox`` "none", "gvisor" ..., ``weights`` the formats of the
    model's weights that lie on the host, ``sched_ext`` whether ktransformers' module of that name is built,
    ``disk_free`` bytes.
    """

    cuda: str = ""
    driver: str = ""
    kernel: str = ""
    os: str = ""
    sandbox: str = "none"
    weights: tuple[str, ...] | None = None
    sched_ext: bool | None = None
    disk_free: int | None = None

    @property
    def shown(self) -> dict[str, str]:
        """What is known, as text."""
        known = {item.name: getattr(self, item.name) for item in fields(self)}
        if self.disk_free is not None:
            known["disk_free"] = gib(self.disk_free)
        return {name: _text(value) for name, value in known.items() if value not in (None, "")}


def read_site(raw: Mapping[str, Any]) -> Site:
    """A site from plain data, as in a site file; raises InputError with the key."""
    row = Fields.of(raw, "site")
    disk = row.scaled("disk_free_gb", 1e9)
    site = Site(
        cuda=row.matching("cuda", _VERSION, "12.8"),
        driver=row.matching("driver", _VERSION, "580.95"),
        kernel=row.matching("kernel", _VERSION, "6.8.0"),
        os=row.text("os", ""),
        sandbox=row.text("sandbox", "none"),
        weights=_weights(row),
        sched_ext=row.flag("sched_ext") if "sched_ext" in raw else None,
        disk_free=None if disk is None else int(disk),
    )
    row.done()
    return site


def load_site(given: Sequence[str]) -> Site:
    """A site from files, shipped names and ``key=value`` texts, later ones first; raises InputError."""
    raw: dict[str, Any] = {}
    for item in given:
        key, sign, value = item.partition("=")
        raw |= {key: _value(key, value)} if sign else _file(item)
    return read_site(raw)


def _weights(row: Fields) -> tuple[str, ...] | None:
    if "weights" not in row.raw:
        return None
    formats = row.texts("weights")
    for name in formats:
        if name not in _FORMATS:
            raise row.error("weights", f"expected some of {', '.join(_FORMATS)}, got {name!r}")
    return formats


def _value(key: str, text: str) -> Any:
    if not text:
        raise InputError(f"site.{key}: expected a value after =; leave it out where it is unknown")
    if key == "weights":
        return text.split(",")
    if key == "disk_free_gb":
        try:
            return float(text)
        except ValueError:
            raise InputError(f"site.{key}: expected a number, got {text!r}") from None
    return _TRUE_FALSE.get(text, text) if key == "sched_ext" else text


def _file(name: str) -> dict[str, Any]:
    path = Path(name)
    if not path.suffix:
        try:
            path = data_path(f"sites/{name}.toml")
        except TableError:
            raise InputError(f"--site {name}: no shipped site of that name; give a .toml file or key=value") from None
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"--site {name}: cannot be read: {error}") from error


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(value) if isinstance(value, tuple) else str(value)

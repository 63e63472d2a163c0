"""Facts of a host that no machine file holds: CUDA, driver, kernel, sandbox, disk, and which weights are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Final

from omniplan.documents.column import LARGEST, Column
from omniplan.documents.record import read
from omniplan.documents.source import data_path
from omniplan.documents.toml_text import read_toml
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

    cuda: Annotated[str, Column(pattern=_VERSION, example="12.8")] = ""
    driver: Annotated[str, Column(pattern=_VERSION, example="580.95")] = ""
    kernel: Annotated[str, Column(pattern=_VERSION, example="6.8.0")] = ""
    os: str = ""
    sandbox: str = "none"
    weights: tuple[Annotated[str, Column(choices=_FORMATS)], ...] | None = None
    sched_ext: bool | None = None
    disk_free: Annotated[int | None, Column(key="disk_free_gb", unit=10**9, least=0, most=LARGEST)] = None

    @property
    def shown(self) -> dict[str, str]:
        """What is known, as text."""
        known = {item.name: getattr(self, item.name) for item in fields(self)}
        if self.disk_free is not None:
            known["disk_free"] = gib(self.disk_free)
        return {name: _text(value) for name, value in known.items() if value not in (None, "")}


def read_site(raw: Mapping[str, Any]) -> Site:
    """A site from plain data, as in a site file; raises InputError with the key."""
    return read(Site, raw, path="site")


def load_site(given: Sequence[str]) -> Site:
    """A site from files, shipped names and ``key=value`` texts, later ones first; raises InputError."""
    raw: dict[str, Any] = {}
    for item in given:
        key, sign, value = item.partition("=")
        raw |= {key: _value(key, value)} if sign else _file(item)
    return read_site(raw)


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
            raise InputError(
                "no shipped site of that name; give a .toml file or key=value", field="site", value=name
            ) from None
    try:
        return read_toml(path)
    except InputError as error:
        raise InputError(f"cannot be read: {error}", field="site", value=name) from error


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(value) if isinstance(value, tuple) else str(value)

"""JSON documents of ours back to values, with the path of the first wrong field in the error."""

from __future__ import annotations

import json
from typing import TypeVar

from omniplan.documents.record import read
from omniplan.documents.toml_text import parse_toml
from omniplan.errors import InputError

T = TypeVar("T")


def from_toml(kind: type[T], text: str, *, where: str, what: str) -> T:
    """The ``kind`` written in ``text``, a TOML ``what``; raises InputError with ``where`` and the path inside it."""
    try:
        return read(kind, parse_toml(text, what=what))
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def parse_document(text: str, kind: type[T], *, version: int, where: str, verb: str) -> T:
    """The ``kind`` written in ``text``; raises InputError for another ``version`` or a field of another form.

    ``verb`` of the command writes it.
    """
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: not JSON: {error}; `omniplan {verb}` writes it as JSON") from error
    found = raw.get("schema_version") if isinstance(raw, dict) else None
    if found != version:
        raise InputError(f"{where}: schema_version is {found!r}, this omniplan reads {version}; {verb} again")
    try:
        return read(kind, raw)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error

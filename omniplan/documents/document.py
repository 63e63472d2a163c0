"""Text to records: files that people write, and JSON documents of ours, with the path of the first wrong field."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from omniplan.documents.record import read
from omniplan.documents.text_file import STDIN
from omniplan.documents.toml_text import parse_toml
from omniplan.errors import InputError

T = TypeVar("T")


def from_text(
    kind: type[T], text: str, *, where: str, what: str, complete: Callable[[Any], Any] = lambda raw: raw
) -> T:
    """The ``kind`` written in ``text``, a ``what`` in TOML, or in JSON where the name ``where`` or the text says so.

    ``complete`` fills what was read with what lies elsewhere. Raises InputError with ``where`` and the path inside it.
    """
    try:
        return read(kind, complete(_parse_json(text) if _is_json(text, where) else parse_toml(text, what=what)))
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _is_json(text: str, where: str) -> bool:
    """Whether it is JSON: by the file's name, on standard input by its first character, with which no TOML begins."""
    return where.endswith(".json") or (where == STDIN and text.lstrip().startswith("{"))


def _parse_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON: {error}") from error


def parse_document(text: str, kind: type[T], *, version: int, where: str, verb: str) -> T:
    """The ``kind`` written in ``text``; raises InputError for another ``version`` or a field of another form.

    ``verb`` of the command writes it.
    """
    try:
        raw = _parse_json(text)
    except InputError as error:
        raise InputError(f"{where}: {error}; `omniplan {verb}` writes it as JSON") from error
    found = raw.get("schema_version") if isinstance(raw, dict) else None
    if found != version:
        raise InputError(f"{where}: schema_version is {str(found)[:40]}, this omniplan reads {version}; {verb} again")
    try:
        return read(kind, raw)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error

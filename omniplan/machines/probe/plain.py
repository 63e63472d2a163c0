"""Plain data that other programs print: JSON, and of its records the fields that are declared here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import field
from typing import Any, Final, TypeVar

from omniplan.errors import InputError, needs

T = TypeVar("T")

# More than this of nested lists and objects is nobody's description of a machine.
_DEEPEST: Final = 12


def key(name: str, default: Any = None) -> Any:
    """A field of a record that a program calls ``name``, by default absent."""
    return field(default=default, metadata={"alias": name})


def json_of(text: str, where: str) -> Any:
    """What the JSON in ``text`` says; raises InputError with ``where``."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON: {str(error)[:120]}") from error


def checked(kind: type[T], raw: object, where: str) -> T:
    """``raw`` as a ``kind``, whose other keys are passed over; raises InputError with the path of the first fault."""
    try:
        from pydantic import TypeAdapter, ValidationError
    except ImportError as error:
        raise InputError(f"{where}: {needs('pydantic')}") from error
    try:
        return TypeAdapter(kind).validate_python(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{where}: {path[:80]}: not what was expected there: {first['msg']}, got {str(first['input'])[:40]!r}"
        ) from error


def objects(raw: object, depth: int = 0) -> Iterator[dict[str, Any]]:
    """Every object of plain data, outer ones first."""
    if depth > _DEEPEST:
        return
    if isinstance(raw, dict):
        yield raw
    for item in raw.values() if isinstance(raw, dict) else raw if isinstance(raw, list) else ():
        yield from objects(item, depth + 1)

"""Plain data (TOML, JSON) to records and back, with errors that name the path inside the file.

A record is a frozen dataclass; its annotations say how each field stands in a file (see ``column``). Its method
``faults``, where it has one, yields what is wrong between fields: a key, and what to say of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Final, TypeVar, cast, get_args, get_origin

from omniplan.documents.column import REST, RecordField, record_fields, resolved
from omniplan.documents.frozen import FrozenMapping, frozen
from omniplan.documents.scalar import read_scalar, write_scalar
from omniplan.errors import InputError

T = TypeVar("T")

# Digits of the largest number that is the key of a table.
_LONGEST: Final = 18
_PLURALS: Final[Mapping[object, str]] = {str: "texts", int: "numbers", float: "numbers"}


class Record:
    """Base of records that are given away: nothing in them changes, they can be hashed, and are written as JSON."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for item in fields(cast("Any", self)):
            if isinstance(value := getattr(self, item.name, None), dict | list | MappingProxyType):
                object.__setattr__(self, item.name, frozen(value))

    def to_json(self) -> str:
        """Everything as indented JSON, by the keys and units of files; the same text for the same value."""
        return json.dumps(plain(self), indent=2, ensure_ascii=False)


def read(kind: type[T], raw: object, *, path: str = "") -> T:
    """The ``kind`` written in ``raw``; raises InputError with the path of the first wrong field."""
    return cast("T", _value(kind, raw, path, ()))


def plain(value: object, *, sparse: bool = False) -> Any:
    """``value`` as plain data that ``read`` turns back into an equal one; ``sparse`` leaves out what it would add."""
    return _plain(type(value), value, sparse=sparse)


def unknown(key: object, known: Sequence[str], *, what: str = "key") -> str:
    """What to say of a key that there is not: the nearest known one, else all of them."""
    near = get_close_matches(str(key), known, n=1)
    return f"unknown {what}; " + (f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}")


def _fault(path: str, problem: str) -> InputError:
    return InputError(f"{path or 'top level'}: {problem}")


def _join(path: str, key: object) -> str:
    text = str(key) if str(key).isprintable() else repr(key)
    return ".".join(part for part in (path, text) if part)


def _value(hint: object, raw: object, path: str, keys: tuple[object, ...]) -> object:
    kind, column, _ = resolved(hint)
    parse = column.parse if isinstance(raw, str) else None
    if not parse and is_dataclass(kind):
        return _record(cast("type", kind), _table(raw, path), path, keys)
    if not parse and get_origin(kind) is tuple:
        return _array(get_args(kind), raw, path)
    if get_origin(kind) in (Mapping, dict):
        return _mapping(kind, _table(raw, path), path, keys)
    try:
        return parse(str(raw)) if parse else read_scalar(kind, column, raw)
    except InputError as error:
        raise _fault(path, str(error)) from error


def _table(raw: object, path: str) -> Mapping[str, object]:
    if not isinstance(raw, Mapping):
        raise _fault(path, f"expected a table, got {type(raw).__name__}")
    return raw


def _mapping(kind: Any, table: Mapping[str, object], path: str, keys: tuple[object, ...]) -> object:
    of, hint = get_args(kind)
    found = {}
    for text, item in table.items():
        at = _join(path, text)
        key = _value(of, int(text) if of is int and text.isdecimal() and len(text) < _LONGEST else text, at, ())
        found[key] = _value(hint, item, at, (*keys, key))
    return found if get_origin(kind) is dict else FrozenMapping(found)


def _record(kind: type, table: Mapping[str, object], path: str, keys: tuple[object, ...]) -> object:
    known = [field.key for field in record_fields(kind) if not 0 < field.column.level <= len(keys)]
    if REST in known:
        rest = {key: item for key, item in table.items() if key not in known}
        table = {**{key: item for key, item in table.items() if key in known}, REST: rest}
    for key in table:
        if key not in known:
            raise _fault(_join(path, key), unknown(key, known))
    # What a record makes of its own fields is written for others, and made again when it is read.
    given = [field for field in record_fields(kind) if field.item.init]
    values = {field.name: _field(field, table, path, keys) for field in given}
    # What follows from other fields follows once all of these are read.
    unsaid = [field for field in given if field.column.default and table.get(field.key) is None]
    record = kind(**{**values, **{field.name: field.left_out(values) for field in unsaid}})
    for key, problem in getattr(record, "faults", tuple)():
        raise _fault(_join(path, key), problem)
    return record


def _field(field: RecordField, table: Mapping[str, object], path: str, keys: tuple[object, ...]) -> object:
    if 0 < field.column.level <= len(keys):
        return keys[-field.column.level]
    found = table.get(field.key)
    if found is None and field.key in table and resolved(field.hint)[2]:
        return None
    if found is not None:
        return _value(field.hint, found, _join(path, field.key), ())
    if field.is_required:
        raise _fault(_join(path, field.key), "is missing")
    return None if field.column.default else field.left_out({})


def _array(kinds: tuple[object, ...], raw: object, path: str) -> tuple[object, ...]:
    if not isinstance(raw, Sequence) or isinstance(raw, str):
        raise _fault(path, f"expected an array of {_PLURALS.get(resolved(kinds[0])[0], 'tables')}")
    of = kinds[:1] * len(raw) if kinds[-1] is Ellipsis else kinds
    if len(of) != len(raw):
        raise _fault(path, f"expected {len(of)} values, got {len(raw)}")
    return tuple(_value(kind, raw[index], f"{path}[{index}]", ()) for index, kind in enumerate(of))


def _plain(hint: object, value: Any, *, sparse: bool, depth: int = 0) -> Any:
    kind, column, _ = resolved(hint)
    if column.parse and not isinstance(value, tuple) and not is_dataclass(value):
        return str(value)
    if is_dataclass(value):
        return _row(value, sparse=sparse or getattr(value, "is_sparse", False), depth=depth)
    if isinstance(value, Mapping):
        of = get_args(kind)[1]
        return {str(key): _plain(of, item, sparse=sparse, depth=depth + 1) for key, item in value.items()}
    if isinstance(value, tuple):
        of = get_args(kind)
        return [_plain(of[0 if of[-1] is Ellipsis else at], item, sparse=sparse) for at, item in enumerate(value)]
    return write_scalar(column, value)


def _row(value: Any, *, sparse: bool, depth: int) -> dict[str, Any]:
    own = [field for field in record_fields(value.__class__) if not 0 < field.column.level <= depth]
    values = {field.name: getattr(value, field.name) for field in own}
    if sparse:
        own = [field for field in own if field.is_required or values[field.name] != field.left_out(values)]
    found = {field.key: _plain(field.hint, values[field.name], sparse=sparse) for field in own}
    rest = found.pop(REST, {})
    return {**found, **rest}

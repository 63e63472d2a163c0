"""The JSON Schema of a record: of what is written and of what may be read, for both are described by its fields."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import is_dataclass
from datetime import date
from enum import Enum
from typing import Any, Final, get_args, get_origin

from omniplan.documents.column import Column, RecordField, record_fields, resolved

_TYPES: Final[Mapping[object, str]] = {str: "string", int: "integer", float: "number", bool: "boolean", date: "string"}


def json_schema(kind: type) -> dict[str, Any]:
    """The schema of a ``kind``; every record in it is defined once, by its name."""
    definitions: dict[str, Any] = {}
    top = _schema(kind, definitions, depth=0)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **top, "$defs": definitions}


def _schema(hint: object, definitions: dict[str, Any], *, depth: int) -> dict[str, Any]:
    kind, column, is_optional = resolved(hint)
    if is_dataclass(kind):
        found = _reference(kind, definitions, depth=depth)
    elif get_origin(kind) is tuple:
        found = _array(get_args(kind), definitions)
    elif get_origin(kind) in (Mapping, dict):
        found = {"type": "object", "additionalProperties": _schema(get_args(kind)[1], definitions, depth=depth + 1)}
    else:
        options = [_scalar(option, column) for option in get_args(kind) or (kind,)]
        found = options[0] if len(options) == 1 else {"anyOf": options}
    if column.parse:
        text = {"type": "string"}
        found = {"anyOf": [text, found]} if get_origin(kind) is tuple or is_dataclass(kind) else text
    return {"anyOf": [found, {"type": "null"}]} if is_optional else found


def _reference(kind: Any, definitions: dict[str, Any], *, depth: int) -> dict[str, Any]:
    if kind.__name__ not in definitions:
        definitions[kind.__name__] = {}
        definitions[kind.__name__] = _object(kind, definitions, depth=depth)
    return {"$ref": f"#/$defs/{kind.__name__}"}


def _object(kind: Any, definitions: dict[str, Any], *, depth: int) -> dict[str, Any]:
    fields = [field for field in record_fields(kind) if not 0 < field.column.level <= depth]
    rest = [field for field in fields if field.column.is_rest]
    found = {
        "type": "object",
        "description": inspect.getdoc(kind),
        "properties": {field.key: _property(field, definitions) for field in fields if field not in rest},
        "required": [field.key for field in fields if field.is_required],
        "additionalProperties": False,
    }
    for field in rest:
        found["additionalProperties"] = _schema(get_args(resolved(field.hint)[0])[1], definitions, depth=1)
    return found


def _property(field: RecordField, definitions: dict[str, Any]) -> dict[str, Any]:
    found = _schema(field.hint, definitions, depth=0)
    default = field.item.default
    return {**found, "default": default} if isinstance(default, str | int | float) else found


def _array(kinds: tuple[object, ...], definitions: dict[str, Any]) -> dict[str, Any]:
    if kinds[-1] is Ellipsis:
        return {"type": "array", "items": _schema(kinds[0], definitions, depth=0)}
    items = [_schema(kind, definitions, depth=0) for kind in kinds]
    return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}


def _scalar(kind: Any, column: Column) -> dict[str, Any]:
    if issubclass(kind, Enum):
        return {"enum": list(column.choices or [item.value for item in kind])}
    # A size in MiB need not be a whole one.
    found: dict[str, Any] = {"type": "number" if column.unit != 1 else _TYPES[kind]}
    limits = {"exclusiveMinimum": column.above, "minimum": column.least, "maximum": column.most}
    if kind in (int, float):
        found |= {name: limit for name, limit in limits.items() if limit is not None}
    if column.choices:
        found["enum"] = list(column.choices)
    if column.pattern:
        # A field without a value may be written as an empty text.
        found["pattern"] = f"^({column.pattern})?$"
    return found

"""Numbers, texts, dates and names out of plain data, each with words for what it should have been."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any, Final, get_args

from omniplan.documents.column import Column
from omniplan.errors import InputError

# Where floats still hold a number, and arithmetic with it too.
_FINITE: Final = 1e300


def read_scalar(kind: Any, column: Column, raw: object) -> object:
    """``raw`` as a ``kind``, the first that it can be of several; raises InputError with the problem alone."""
    problem = ""
    for option in get_args(kind) or (kind,):
        read = _choice if issubclass(option, Enum) else _READERS[option]
        try:
            return read(option, column, raw)
        except InputError as error:
            problem = problem or str(error)
    raise InputError(problem)


def write_scalar(column: Column, value: Any) -> object:
    """What ``read_scalar`` makes ``value`` from."""
    if isinstance(value, Enum):
        return value.value
    if column.unit == 1 or isinstance(value, bool) or not isinstance(value, int | float):
        return value
    found = float(Decimal(repr(value)) / column.unit)
    return int(found) if found == int(found) else found


def _shown(raw: object) -> str:
    try:
        return str(raw)[:40]
    except ValueError:  # an integer of more digits than Python writes
        return "thousands of digits"


def _flag(kind: type, column: Column, raw: object) -> bool:
    del kind, column
    if not isinstance(raw, bool):
        raise InputError(f"expected true or false, got {_shown(raw)!r}")
    return raw


def _number(kind: type, column: Column, raw: object) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not _is_within(raw, column):
        raise InputError(f"expected {_limits(column)}, got {_shown(raw)}")
    # Decimal multiplies without the noise of 236.4 * 1e9, so that a value is written as it was read.
    found = raw if column.unit == 1 else Decimal(repr(raw)) * column.unit
    if kind is int and column.unit == 1 and found != int(found):
        raise InputError(f"expected a whole number, got {raw!r}")
    return round(found) if kind is int else float(found)


def _is_within(raw: float, column: Column) -> bool:
    above = -_FINITE if column.above is None else column.above
    least = -_FINITE if column.least is None else column.least
    return above < raw and least <= raw <= (_FINITE if column.most is None else column.most)


def _limits(column: Column) -> str:
    if column.expected:
        return column.expected
    if column.above is not None:
        return f"a number above {column.above:g}"
    return "a number" if column.least is None else f"a number of {column.least:g} or more"


def _text(kind: type, column: Column, raw: object) -> str:
    del kind
    if not isinstance(raw, str):
        raise InputError("expected text")
    if column.choices and raw not in column.choices:
        raise InputError(f"expected one of {', '.join(column.choices)}, got {raw[:40]!r}")
    if raw and column.pattern and not re.fullmatch(column.pattern, raw):
        raise InputError(f'expected a form like "{column.example}", got {raw[:40]!r}')
    return raw


def _choice(kind: type[Enum], column: Column, raw: object) -> Enum:
    known = column.choices or tuple(str(item.value) for item in kind)
    if not isinstance(raw, str | int) or _shown(raw) not in known:
        raise InputError(f"expected one of {', '.join(known)}, got {_shown(raw)!r}")
    return kind(raw)


def _day(kind: type, column: Column, raw: object) -> date:
    del kind, column
    if isinstance(raw, date):
        return raw
    try:
        return date.fromisoformat(str(raw))
    except ValueError:
        raise InputError("expected a date such as 2026-01-22") from None


_READERS: Final[Mapping[object, Callable[[Any, Column, object], object]]] = {
    bool: _flag,
    int: _number,
    float: _number,
    str: _text,
    date: _day,
}

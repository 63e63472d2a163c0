"""How a field of a record stands in a file: its key and unit, and what may be written there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, replace
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

from omniplan.units import MIB

# Far above any byte count, rate or size, and far below where floats and bytes overflow.
LARGEST: Final = 1e15
# Stands for the keys that no field of a record has.
REST: Final = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What a file says of one field beyond its type; stands in ``Annotated``, where several add up.

    ``key`` is the name in the file where that differs, or the field's with the unit's ``suffix``; 1 of the file is
    ``unit`` of ours. Numbers are ``above`` one limit and from ``least`` to ``most``; text has the form ``pattern``, as
    in ``example``, is one of ``choices``, or what ``parse`` makes of it, which raises InputError. ``expected`` says it
    in better words. ``default`` makes a field that the file leaves out from the others. ``level`` takes the key of the
    table that the row stands in: 1 for its own, 2 for the one around it. ``is_rest`` takes all keys
    that no other field has.
    """

    key: str = ""
    suffix: str = ""
    unit: int = 1
    above: float | None = None
    least: float | None = None
    most: float | None = None
    pattern: str = ""
    example: str = ""
    choices: tuple[str, ...] = ()
    parse: Callable[[str], object] | None = None
    expected: str = ""
    default: Callable[[Mapping[str, Any]], object] | None = None
    level: int = 0
    is_rest: bool = False

    def over(self, inner: Column) -> Column:
        """Both: what this one leaves open is as ``inner`` says."""
        given = {item.name: getattr(self, item.name) for item in fields(self)}
        return replace(inner, **{name: value for name, value in given.items() if value != getattr(_OPEN, name)})


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_OPEN: Final = Column()

Count = Annotated[int, Column(least=0, most=LARGEST)]
Amount = Annotated[float, Column(least=0, most=LARGEST)]
Positive = Annotated[float, Column(above=0, most=LARGEST)]
Mib = Annotated[int, Column(suffix="mib", unit=MIB, least=0, most=LARGEST)]
Gbs = Annotated[float, Column(suffix="gbs", unit=10**9, least=0, most=LARGEST)]
Tera = Annotated[float, Column(unit=10**12, least=0, most=LARGEST)]
# Many names in one text.
Words = Annotated[tuple[str, ...], Column(parse=_words)]
# The key of a row's table, which is its name, and of the table around that.
Name = Annotated[str, Column(level=1)]
Group = Annotated[str, Column(level=2)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordField:
    """One field of a record: its name and the file's key for it, its type, and whether a file must have it."""

    name: str
    key: str
    hint: object
    column: Column
    is_required: bool
    item: Field[object]

    def left_out(self, values: Mapping[str, object]) -> object:
        """The value where a file does not have it; ``values`` are the other fields'."""
        if self.column.default:
            return self.column.default(values)
        if self.item.default_factory is not MISSING:
            return self.item.default_factory()
        return None if self.item.default is MISSING else self.item.default


@cache
def resolved(hint: object) -> tuple[Any, Column, bool]:
    """The type without ``Annotated`` and None, what its columns add up to, and whether None will do."""
    if get_origin(hint) is Annotated:
        inner, *metadata = get_args(hint)
        kind, column, is_optional = resolved(inner)
        for item in metadata:
            column = item.over(column)
        return kind, column, is_optional
    if get_origin(hint) in (Union, UnionType) and NoneType in get_args(hint):
        kind, column, _ = resolved(Union[tuple(one for one in get_args(hint) if one is not NoneType)])  # noqa: UP007
        return kind, column, True
    return hint, _OPEN, False


@cache
def record_fields(kind: type) -> tuple[RecordField, ...]:
    """The fields of a record, in order."""
    hints = get_type_hints(kind, include_extras=True)
    return tuple(_record_field(item, hints[item.name]) for item in fields(kind))


def _record_field(item: Field[object], hint: object) -> RecordField:
    _, column, is_optional = resolved(hint)
    suffix = f"_{column.suffix}" if column.suffix else ""
    has_default = item.default is not MISSING or item.default_factory is not MISSING
    return RecordField(
        name=item.name,
        key=REST if column.is_rest else column.key or f"{item.name}{suffix}",
        hint=hint,
        column=column,
        is_required=item.init and not (has_default or is_optional or column.default),
        item=item,
    )

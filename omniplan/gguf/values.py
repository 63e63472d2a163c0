"""The metadata values of GGUF: types, scalars, and arrays that are decoded or only counted.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from omniplan.domain.header import ArrayInfo, Value
from omniplan.gguf.cursor import Cursor

# Longer arrays become ``ArrayInfo``: per-layer values stay well below, vocabularies above.
MAX_STRINGS: Final = 1_024
MAX_NUMBERS: Final = 65_536
# ``GGUF_MAX_ARRAY_ELEMENTS`` of llama.cpp b11434 ggml/src/gguf.cpp.
MAX_ELEMENTS: Final = 1 << 30


class ValueType(IntEnum):
    """Value types by their id, named as ``gguf_type_name`` names them."""

    U8 = 0
    I8 = 1
    U16 = 2
    I16 = 3
    U32 = 4
    I32 = 5
    F32 = 6
    BOOL = 7
    STR = 8
    ARR = 9
    U64 = 10
    I64 = 11
    F64 = 12

    @property
    def label(self) -> str:
        """Name for messages and ``ArrayInfo``, e.g. ``u32``."""
        return self.name.lower()


# ``struct`` code and bytes of one element.
NUMBERS: Final[dict[ValueType, tuple[str, int]]] = {
    ValueType.U8: ("B", 1),
    ValueType.I8: ("b", 1),
    ValueType.U16: ("H", 2),
    ValueType.I16: ("h", 2),
    ValueType.U32: ("I", 4),
    ValueType.I32: ("i", 4),
    ValueType.F32: ("f", 4),
    ValueType.BOOL: ("?", 1),
    ValueType.U64: ("Q", 8),
    ValueType.I64: ("q", 8),
    ValueType.F64: ("d", 8),
}


def read_type(cursor: Cursor) -> ValueType:
    """The value type at the cursor; raises ``HeaderError`` for an unknown id."""
    number = cursor.integer("I")
    try:
        return ValueType(number)
    except ValueError as error:
        raise cursor.error(f"{cursor.step} has the unknown value type {number}") from error


def read_value(cursor: Cursor, kind: ValueType) -> Value:
    """The value of type ``kind`` at the cursor; bytes that are not UTF-8 are replaced, as values may hold any."""
    if kind is ValueType.ARR:
        return _read_array(cursor)
    if kind is ValueType.STR:
        return cursor.text(errors="replace")
    return cursor.numbers(NUMBERS[kind][0], 1)[0]


def _read_array(cursor: Cursor) -> Value:
    kind = read_type(cursor)
    length = cursor.integer("Q")
    if kind is ValueType.ARR:
        raise cursor.error(f"{cursor.step} is an array of arrays, which llama.cpp refuses")
    if length > MAX_ELEMENTS:
        raise cursor.error(f"{cursor.step} is an array of {length:,} elements, more than the {MAX_ELEMENTS:,} allowed")
    if kind is ValueType.STR:
        return _read_strings(cursor, length)
    code, size = NUMBERS[kind]
    if length <= MAX_NUMBERS:
        return cursor.numbers(code, length)
    cursor.skip(size * length)
    return ArrayInfo(kind.label, length)


def _read_strings(cursor: Cursor, length: int) -> Value:
    if length <= MAX_STRINGS:
        return tuple(cursor.text(errors="replace") for _ in range(length))
    cursor.skip_strings(length)
    return ArrayInfo(ValueType.STR.label, length)

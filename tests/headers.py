"""Writes small GGUF files by hand, good and bad ones, in any version and byte order.

``make_header`` returns bytes, ``write_gguf`` a file. Metadata values get the type that convert_hf_to_gguf.py
would use (``int`` u32, ``float`` f32, ``list`` an array of its first element's type); ``Typed`` states it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from omniplan.domain.tensor_type import TYPE_BY_NAME

Scalar = bool | int | float | str | bytes
Shape = Sequence[int]

KINDS: Final = {
    "u8": (0, "B"), "i8": (1, "b"), "u16": (2, "H"), "i16": (3, "h"), "u32": (4, "I"), "i32": (5, "i"),
    "f32": (6, "f"), "bool": (7, "?"), "str": (8, ""), "arr": (9, ""), "u64": (10, "Q"), "i64": (11, "q"),
    "f64": (12, "d"),
}  # fmt: skip
_KEY_KINDS: Final = {"split.no": "u16", "split.count": "u16", "split.tensors.count": "i32"}


@dataclass(frozen=True, slots=True)
class Typed:
    """A metadata value whose type is stated: ``kind`` is ``u8`` ... ``f64``, ``str``; a list makes an array of it."""

    kind: str
    value: Scalar | Sequence[Scalar]


@dataclass(frozen=True, slots=True)
class Row:
    """A tensor row whose every field can be wrong; ``offset`` None continues the running sum."""

    name: str | bytes
    type: str | int
    shape: Shape
    offset: int | None = None


Item = Scalar | Sequence[Scalar] | Typed
TensorRow = tuple[str, str, Shape] | Row


def make_header(
    metadata: Mapping[str, Item] | Sequence[tuple[str | bytes, Item]] = (),
    tensors: Sequence[TensorRow] = (),
    *,
    version: int = 3,
    endian: str = "<",
    alignment: int = 32,
    n_keys: int | None = None,
    n_tensors: int | None = None,
) -> bytes:
    """The bytes of a header up to its tensor data, padded; a list of pairs allows duplicate keys."""
    pairs: list[tuple[str | bytes, Item]] = list(metadata.items() if isinstance(metadata, Mapping) else metadata)
    if alignment != 32:
        pairs.append(("general.alignment", alignment))
    counts = len(tensors) if n_tensors is None else n_tensors, len(pairs) if n_keys is None else n_keys
    parts = [b"GGUF", struct.pack(f"{endian}IQQ", version, *counts)]
    parts += [_text(key, endian) + _item(key, value, endian) for key, value in pairs]
    offset = 0
    for row in map(_row, tensors):
        parts.append(_tensor(row, offset, endian))
        offset += _padded(_nbytes(row), alignment)
    header = b"".join(parts)
    return header + bytes(-len(header) % alignment) if tensors else header


def write_gguf(
    path: Path,
    metadata: Mapping[str, Item],
    tensors: Sequence[TensorRow],
    *,
    version: int = 3,
    endian: str = "<",
    alignment: int = 32,
    header_only: bool = True,
) -> Path:
    """Write a file and return its path; not ``header_only`` adds the tensor data as a hole of zeros."""
    header = make_header(metadata, tensors, version=version, endian=endian, alignment=alignment)
    path.write_bytes(header)
    if not header_only:
        data = sum(_padded(_nbytes(_row(row)), alignment) for row in tensors)
        with path.open("r+b") as file:
            file.truncate(len(header) + data)
    return path


def _row(row: TensorRow) -> Row:
    return row if isinstance(row, Row) else Row(*row)


def _padded(size: int, alignment: int) -> int:
    return size + -size % alignment


def _nbytes(row: Row) -> int:
    kind = TYPE_BY_NAME.get(str(row.type))
    if kind is None or not row.shape:
        return 0
    size = kind.row_size(row.shape[0])
    for rows in row.shape[1:]:
        size *= rows
    return size


def _tensor(row: Row, offset: int, endian: str) -> bytes:
    number = row.type if isinstance(row.type, int) else TYPE_BY_NAME[row.type].id
    layout = f"{endian}I{len(row.shape)}QIQ"
    where = offset if row.offset is None else row.offset
    return _text(row.name, endian) + struct.pack(layout, len(row.shape), *row.shape, number, where)


def _text(text: str | bytes, endian: str) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return struct.pack(f"{endian}Q", len(data)) + data


def _item(key: str | bytes, item: Item, endian: str) -> bytes:
    typed = item if isinstance(item, Typed) else Typed(_kind(key, item), item)
    if isinstance(typed.value, bool | int | float | str | bytes):
        return struct.pack(f"{endian}I", KINDS[typed.kind][0]) + _scalar(typed.kind, typed.value, endian)
    head = struct.pack(f"{endian}IIQ", KINDS["arr"][0], KINDS[typed.kind][0], len(typed.value))
    return head + b"".join(_scalar(typed.kind, value, endian) for value in typed.value)


def _scalar(kind: str, value: Scalar, endian: str) -> bytes:
    if isinstance(value, str | bytes):
        return _text(value, endian)
    return struct.pack(endian + KINDS[kind][1], value)


def _kind(key: str | bytes, item: Scalar | Sequence[Scalar]) -> str:
    if isinstance(key, str) and key in _KEY_KINDS:
        return _KEY_KINDS[key]
    first: Scalar = item if isinstance(item, bool | int | float | str | bytes) else item[0] if item else 0
    if isinstance(first, bool):
        return "bool"
    if isinstance(first, int):
        return "u32" if 0 <= first < 1 << 32 else "i32" if -(1 << 31) <= first < 0 else "i64"
    return "f32" if isinstance(first, float) else "str"

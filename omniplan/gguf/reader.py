"""Reads the header of one GGUF file and checks what llama.cpp's loader checks, never its tensor data.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
Checks: llama.cpp b11434 ggml/src/gguf.cpp (gguf_init_from_reader) and src/llama-model-loader.h (llama_tensor_weight).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from omniplan.documents.near_file import near_file
from omniplan.domain.header import ByteOrder, Tensor, Value
from omniplan.domain.progress import Progress, unwatched
from omniplan.domain.tensor_type import REMOVED_TYPES, TENSOR_TYPES, TensorType
from omniplan.errors import HeaderError
from omniplan.gguf.cursor import DOWNLOAD_AGAIN, Cursor
from omniplan.gguf.location import Located
from omniplan.gguf.magic import MAGIC, check_magic
from omniplan.gguf.place import is_url
from omniplan.gguf.shipped import meant
from omniplan.gguf.values import ValueType, read_type, read_value
from omniplan.units import MIB, pad

VERSIONS: Final = (2, 3)
# ggml/include/gguf.h: GGUF_DEFAULT_ALIGNMENT.
DEFAULT_ALIGNMENT: Final = 32
MAX_ALIGNMENT: Final = 16 * MIB
MAX_KEYS: Final = 16_384
MAX_TENSORS: Final = 65_536
MAX_KEY_BYTES: Final = 65_535
MAX_DIMS: Final = 4
# GGML_MAX_NAME is 64 and counts the closing zero.
MAX_NAME_BYTES: Final = 63
MAX_INT64: Final = (1 << 63) - 1
MAX_SIZE: Final = (1 << 64) - 1

# Keys whose type llama.cpp insists on.
_TYPES: Final[dict[str, ValueType]] = {
    "general.alignment": ValueType.U32,
    "split.no": ValueType.U16,
    "split.count": ValueType.U16,
    "split.tensors.count": ValueType.I32,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """The header of one file: a whole model, or one part of a set.

    ``header_only`` is true when the file ends where its tensor data would begin; ``file_bytes`` is what it holds,
    or would hold with its tensor data. ``tensors_at`` is where its tensor table begins.
    """

    path: str
    version: int
    byte_order: ByteOrder
    alignment: int
    metadata: Mapping[str, Value]
    tensors: tuple[Tensor, ...]
    header_only: bool
    file_bytes: int
    tensors_at: int = 0


def read_shard(place: str | Path, *, where: Located | None = None, progress: Progress = unwatched) -> Shard:
    """The header of the file at ``place``, a path or a URL, whose host is asked as ``where`` says.

    ``progress`` is told what is read of a URL.

    Raises ``HeaderError`` for anything it cannot read or trust.
    """
    if is_url(place):
        return _read_remote(str(place), where or Located(place=place), progress)
    path = Path(place)
    try:
        status = _status(path)
        if stat.S_ISDIR(status.st_mode):
            raise HeaderError(path, "is a directory", remedy="name a .gguf file inside it")
        # Opening a pipe or a device could block or never end.
        if not stat.S_ISREG(status.st_mode):
            raise HeaderError(path, "is not a regular file", remedy="name the .gguf file itself")
        with path.open("rb") as file:
            return read_shard_of(Cursor(file, str(path), status.st_size))
    except FileNotFoundError as error:
        raise HeaderError(path, "no such file", remedy=meant(str(path)) or near_file(path)) from error
    except OSError as error:
        raise HeaderError(path, f"cannot be read: {error.strerror or error}") from error


def _read_remote(url: str, where: Located, progress: Progress) -> Shard:
    # Half a dozen modules that nobody needs who reads files.
    from omniplan.gguf.remote import RemoteFile

    with RemoteFile(url, where=where, progress=progress) as file:
        shard = read_shard_of(Cursor(file, url, file.size))
        file.keep()
        return shard


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except ValueError as error:
        # A zero byte, or a character the file system cannot encode.
        raise HeaderError(path, f"cannot be a path: {error}") from error


def read_shard_of(cursor: Cursor) -> Shard:
    """The header that begins at the cursor; raises ``HeaderError``."""
    version = _read_version(cursor)
    n_tensors = _read_count(cursor, "tensors", MAX_TENSORS)
    n_keys = _read_count(cursor, "metadata keys", MAX_KEYS)
    metadata = _read_metadata(cursor, n_keys)
    alignment = _alignment(cursor, metadata)
    tensors_at = cursor.position
    tensors = read_tensors(cursor, n_tensors, alignment, shard=_shard_number(metadata))
    header_only, file_bytes = _extent(cursor, tensors, alignment)
    return Shard(
        path=cursor.path,
        version=version,
        byte_order=ByteOrder.BIG if cursor.order == ">" else ByteOrder.LITTLE,
        alignment=alignment,
        metadata=metadata,
        tensors=tensors,
        header_only=header_only,
        file_bytes=file_bytes,
        tensors_at=tensors_at,
    )


def _read_version(cursor: Cursor) -> int:
    check_magic(cursor.path, cursor.peek(32))
    cursor.skip(len(MAGIC))
    cursor.step = "the version"
    version = cursor.integer("I")
    if version & 0xFFFF == 0:
        cursor.order = ">"
        version = int.from_bytes(version.to_bytes(4, "little"), "big")
    if version == 1:
        raise cursor.error("GGUF version 1 is no longer read by llama.cpp", remedy="convert the model again")
    if version not in VERSIONS:
        raise cursor.error(f"GGUF version {version} is unknown, llama.cpp b11434 reads 2 and 3")
    return version


def _read_count(cursor: Cursor, what: str, limit: int) -> int:
    cursor.step = f"the number of {what}"
    count = cursor.integer("Q")
    if count > limit:
        raise cursor.error(f"{cursor.step} is {count:,}, more than the {limit:,} allowed")
    return count


def _read_metadata(cursor: Cursor, count: int) -> dict[str, Value]:
    metadata: dict[str, Value] = {}
    for index in range(count):
        cursor.step = f"metadata key {index}"
        key = cursor.text(limit=MAX_KEY_BYTES)
        if not key:
            raise cursor.error(f"{cursor.step} is empty")
        cursor.step = f"metadata key {key[:80]!r}"
        if key in metadata:
            raise cursor.error(f"{cursor.step} appears twice")
        kind = read_type(cursor)
        if kind is not _TYPES.get(key, kind):
            raise cursor.error(f"{cursor.step} must be {_TYPES[key].label}, not {kind.label}")
        metadata[key] = read_value(cursor, kind)
    return metadata


def _alignment(cursor: Cursor, metadata: Mapping[str, Value]) -> int:
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    assert isinstance(alignment, int)
    if alignment.bit_count() != 1 or alignment > MAX_ALIGNMENT:
        raise cursor.error(f"general.alignment {alignment:,} is not a power of two up to {MAX_ALIGNMENT:,}")
    return alignment


def _shard_number(metadata: Mapping[str, Value]) -> int:
    number, count = metadata.get("split.no", 0), metadata.get("split.count", 0)
    assert isinstance(number, int)
    assert isinstance(count, int)
    return number if count > 1 else 0


def read_tensors(cursor: Cursor, count: int, alignment: int, *, shard: int) -> tuple[Tensor, ...]:
    """The tensor table that begins at the cursor; raises ``HeaderError``."""
    tensors: dict[str, Tensor] = {}
    expected = 0
    for index in range(count):
        cursor.step = f"the name of tensor {index}"
        name = cursor.text(limit=MAX_NAME_BYTES)
        cursor.step = f"tensor {name!r}"
        if name in tensors:
            raise cursor.error(f"{cursor.step} appears twice")
        shape = _read_shape(cursor)
        kind = _read_tensor_type(cursor, shape)
        tensor = Tensor(name, kind, shape, cursor.integer("Q"), shard)
        # llama.cpp takes no gaps: each tensor begins at the padded end of the one before.
        if tensor.offset != expected:
            raise cursor.error(f"{cursor.step} has the data offset {tensor.offset:,}, expected {expected:,}")
        expected += pad(tensor.nbytes, alignment)
        if expected > MAX_SIZE:
            raise cursor.error(f"{cursor.step} ends past the largest size a file can have")
        tensors[name] = tensor
    return tuple(tensors.values())


def _read_shape(cursor: Cursor) -> tuple[int, ...]:
    n_dims = cursor.integer("I")
    if n_dims > MAX_DIMS:
        raise cursor.error(f"{cursor.step} has {n_dims:,} dimensions, more than {MAX_DIMS}")
    # ggml reads a tensor without dimensions as one element.
    shape = tuple(cursor.integer("Q") for _ in range(n_dims)) or (1,)
    n_elements = 1
    for size in shape:
        n_elements *= size
    if n_elements == 0:
        raise cursor.error(f"{cursor.step} of shape {shape} is empty, no model has such a tensor")
    if n_elements > MAX_INT64:
        raise cursor.error(f"{cursor.step} of shape {shape} has more elements than 64 bits can count")
    return shape


def _read_tensor_type(cursor: Cursor, shape: tuple[int, ...]) -> TensorType:
    number = cursor.integer("I")
    if number in REMOVED_TYPES:
        problem = f"{cursor.step} has type {REMOVED_TYPES[number]}, which ggml removed"
        raise cursor.error(problem, remedy="quantize the model again")
    kind = TENSOR_TYPES.get(number)
    if kind is None:
        raise cursor.error(f"{cursor.step} has the unknown type {number}", remedy="a newer llama.cpp may know it")
    if shape[0] % kind.block:
        problem = f"{cursor.step} has rows of {shape[0]:,} elements, not a whole number of {kind.name} blocks"
        raise cursor.error(f"{problem} of {kind.block}")
    return kind


def _extent(cursor: Cursor, tensors: tuple[Tensor, ...], alignment: int) -> tuple[bool, int]:
    """Whether the file ends where its tensor data would begin, and its size with that data."""
    if not tensors:
        return cursor.size == cursor.position, cursor.size
    begin = pad(cursor.position, alignment)
    last = tensors[-1]
    end = begin + last.offset + last.nbytes
    if begin < cursor.size < end:
        raise HeaderError(
            cursor.path,
            f"the header is whole but the file has {cursor.size:,} of the {end:,} bytes its tensors need",
            offset=cursor.size,
            remedy=DOWNLOAD_AGAIN,
        )
    header_only = cursor.size <= begin
    return header_only, pad(end, alignment) if header_only else cursor.size

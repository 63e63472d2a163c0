"""The header of a file elsewhere that is the same model as one at hand in another quant, without its vocabulary.

Metadata are taken as those of the file at hand. The tensor table is looked for where that one has its own, and is
believed only where it explains the size of the whole file.
"""

from __future__ import annotations

import http.client
import io
import struct
import time
from typing import Final

from omniplan.domain.header import ByteOrder
from omniplan.errors import HeaderError
from omniplan.gguf.cursor import Cursor
from omniplan.gguf.location import Located
from omniplan.gguf.magic import MAGIC
from omniplan.gguf.reader import MAX_TENSORS, Shard, read_shard_of, read_tensors
from omniplan.gguf.remote import RANGE, Pace, login, refusal, span
from omniplan.gguf.request import ask
from omniplan.units import KIB, pad

# What metadata of two quants differ by: who made it, from what, with which importance matrix.
_APART: Final = 64 * KIB
# What a part of a set that has no vocabulary is read of: room for 1,700 tensors.
_PART: Final = 128 * KIB
# Magic, version, and the numbers of tensors and keys (docs/gguf.md of ggml).
_HEAD: Final = struct.Struct("<4sIQQ")
# Length of a name, number of dimensions, type and offset; a dimension.
_RECORD: Final = 8 + 4 + 4 + 8
_DIMENSION: Final = 8


def read_sibling(url: str, known: Shard, *, where: Located) -> Shard:
    """The header of the file at ``url``, by two requests of some hundred KiB; ``known`` is the same part of the model.

    Raises ``HeaderError`` where the server knows no ranges, or where the file is not what it is taken for.
    """
    file = _Parts(url, where)
    magic, version, n_tensors, _ = _HEAD.unpack(file.read(0, _HEAD.size))
    if magic != MAGIC or version != known.version or known.byte_order is not ByteOrder.LITTLE:
        raise file.error("its header is of another kind")
    start = max(known.tensors_at - _APART, _HEAD.size)
    if not 0 < n_tensors <= MAX_TENSORS or file.size <= start:
        raise file.error(f"it has {file.size:,} bytes and {n_tensors:,} tensors, which nobody expects")
    length = sum(_RECORD + len(item.name.encode()) + _DIMENSION * len(item.shape) for item in known.tensors)
    window = file.read(start, min(known.tensors_at + length + _APART, file.size) - start)
    names = (item.name.encode() for item in known.tensors)
    found = [at for name in names if (at := window.find(struct.pack("<Q", len(name)) + name)) >= 0]
    if not found:
        raise file.error("its tensor table is not where that of the other quant is")
    cursor = Cursor(io.BytesIO(window[min(found) :]), url, len(window) - min(found))
    tensors = read_tensors(cursor, n_tensors, known.alignment, shard=0)
    tensors_at = start + min(found)
    last = tensors[-1]
    end = pad(tensors_at + cursor.position, known.alignment) + last.offset + last.nbytes
    if not end <= file.size <= pad(end, known.alignment):
        raise file.error(f"its tensors end at byte {end:,} of {file.size:,}")
    return Shard(
        path=url,
        version=version,
        byte_order=known.byte_order,
        alignment=known.alignment,
        metadata=known.metadata,
        tensors=tensors,
        header_only=False,
        file_bytes=file.size,
        tensors_at=tensors_at,
    )


def read_part(url: str, *, where: Located) -> Shard:
    """The header of a later file of a set, by one request; raises ``HeaderError`` for one that is longer than that."""
    file = _Parts(url, where)
    return read_shard_of(Cursor(io.BytesIO(file.read(0, _PART, is_least=False)), url, file.size))


class _Parts:
    """A file of which some parts are read; ``size`` is its whole size, which all answers must agree on."""

    def __init__(self, url: str, where: Located) -> None:
        self.size = 0
        self._url = url
        self._where = where
        self._pace = Pace()
        self._deadline = time.monotonic() + self._pace.whole
        self._validator = ""

    def read(self, start: int, size: int, *, is_least: bool = True) -> bytes:
        """These bytes; fewer only where the file has no more and not ``is_least``."""
        headers = {"Range": span(start, size), **login(self._where)}
        with ask(self._url, headers, silence=self._pace.silence, deadline=self._deadline) as answer:
            if answer.status == http.client.OK:
                raise self.error("the server knows no ranges")
            found = RANGE.fullmatch(answer.header("Content-Range"))
            if answer.status != http.client.PARTIAL_CONTENT or not found:
                raise self.error(*refusal(answer.status, self._where))
            first, last, total = map(int, found.groups())
            state = total, answer.validator
            size = size if is_least else min(size, total)
            if (first, last) != (start, start + size - 1) or (self.size and state != (self.size, self._validator)):
                raise self.error("the server's answers contradict each other")
            self.size, self._validator = state
            data = bytearray()
            while len(data) < size and (got := answer.read(size - len(data))):
                data += got
        if len(data) < size:
            raise self.error(f"the server's answer ends after {len(data):,} of {size:,} bytes")
        return bytes(data)

    def error(self, problem: str, remedy: str = "") -> HeaderError:
        return HeaderError(self._url, problem, remedy=remedy)

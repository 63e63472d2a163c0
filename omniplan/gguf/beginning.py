"""Reads the header of a file of which only the beginning is at hand, and says when more of it is needed."""

from __future__ import annotations

from dataclasses import dataclass

from omniplan.errors import HeaderError
from omniplan.gguf.cursor import Cursor
from omniplan.gguf.reader import read_shard_of


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderExtent:
    """Where a header ends, in bytes, and whether its tensor data is missing behind it."""

    end: int
    header_only: bool


def header_extent(name: str, size: int, beginning: bytes | memoryview) -> HeaderExtent | None:
    """Where the header of the file ``name`` of ``size`` bytes ends, of which ``beginning`` is known; None: further on.

    Raises ``HeaderError`` for what ``read_header`` refuses of one file.
    """
    known = _Beginning(beginning, size)
    cursor = Cursor(known, name, size)
    try:
        shard = read_shard_of(cursor)
    except HeaderError:
        if known.is_cut:
            return None
        raise
    return HeaderExtent(end=cursor.position, header_only=shard.header_only)


class _Beginning:
    """The first bytes of a file of ``size`` bytes; ``is_cut`` once bytes behind them were wanted."""

    def __init__(self, data: bytes | memoryview, size: int) -> None:
        self.is_cut = False
        self._data = data
        self._size = size
        self._position = 0

    def seek(self, offset: int, /) -> None:
        """Go to the byte at ``offset``."""
        self._position = offset

    def read(self, size: int, /) -> bytes:
        """The next ``size`` bytes, fewer where the beginning ends."""
        start, end = self._position, min(self._position + size, self._size)
        self.is_cut = end > len(self._data)
        self._position = end
        return bytes(self._data[start:end])

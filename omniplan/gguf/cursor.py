"""Reads a file forward in small windows and refuses any length the file or a limit cannot back."""

from __future__ import annotations

import struct
from typing import Final, Protocol

from omniplan.errors import HeaderError
from omniplan.units import KIB, MIB

# One read, and with it how far past the header a reader may look.
WINDOW: Final = 256 * KIB
# Budgets of a whole header. The largest known vocabularies have 0.8 million strings with their merges.
MAX_TEXT_BYTES: Final = 16 * MIB
MAX_NUMBERS: Final = 1 << 20
MAX_SKIPPED_STRINGS: Final = 1 << 21

DOWNLOAD_AGAIN: Final = "the file is cut short or damaged: download it again"


class Readable(Protocol):
    """What a header is read from: an open file, or a file on another host."""

    def seek(self, offset: int, /) -> object:
        """Go to the byte at ``offset``."""

    def read(self, size: int, /) -> bytes:
        """The next ``size`` bytes, fewer at the end."""


class Cursor:
    """A position in a file of ``size`` bytes; every method moves forward or raises ``HeaderError``.

    ``order`` is the byte order of ``struct``; ``step`` says what is being read and appears in errors.
    Memory is one window plus what the budgets let through, whatever the file claims.
    """

    def __init__(self, file: Readable, path: str, size: int) -> None:
        self.path = path
        self.size = size
        self.order = "<"
        self.step = "the magic"
        self._file = file
        self._window = b""
        self._start = 0
        self._here = 0
        self._text_left = MAX_TEXT_BYTES
        self._numbers_left = MAX_NUMBERS
        self._strings_left = MAX_SKIPPED_STRINGS

    @property
    def position(self) -> int:
        """Offset of the next byte in the file."""
        return self._start + self._here

    def error(self, problem: str, *, remedy: str = "") -> HeaderError:
        """A ``HeaderError`` about this file at the current position, to be raised by the caller."""
        return HeaderError(self.path, problem, offset=self.position, remedy=remedy)

    def peek(self, size: int) -> bytes:
        """The next ``size`` bytes, or fewer at the file's end, without moving."""
        if self._here + size > len(self._window):
            self._fill(min(size, self.size - self.position))
        return self._window[self._here : self._here + size]

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        if self._here + size > len(self._window):
            self._fill(size)
        start = self._here
        self._here = start + size
        return self._window[start : self._here]

    def integer(self, code: str) -> int:
        """One number of the ``struct`` format ``code``."""
        layout = self.order + code
        value: int = struct.unpack(layout, self.take(struct.calcsize(layout)))[0]
        return value

    def numbers(self, code: str, count: int) -> tuple[int, ...] | tuple[float, ...]:
        """``count`` numbers of the ``struct`` format ``code``, from the header's budget of decoded numbers."""
        self._numbers_left -= count
        if self._numbers_left < 0:
            raise self.error(f"{self.step}: the header holds more than {MAX_NUMBERS:,} numbers in short arrays")
        layout = f"{self.order}{count}{code}"
        return struct.unpack(layout, self.take(struct.calcsize(layout)))

    def text(self, *, limit: int = MAX_TEXT_BYTES, errors: str = "strict") -> str:
        """A string with its length in front, of at most ``limit`` bytes and within the header's budget of text."""
        length = self.integer("Q")
        if length > limit:
            raise self.error(f"{self.step} has a string of {length:,} bytes, more than the {limit:,} allowed")
        self._text_left -= length
        if self._text_left < 0:
            raise self.error(f"{self.step}: the header holds more than {MAX_TEXT_BYTES:,} bytes of text")
        try:
            return self.take(length).decode("utf-8", errors)
        except UnicodeDecodeError as error:
            raise self.error(f"{self.step} is not UTF-8: {error.reason}") from error

    def skip(self, size: int) -> None:
        """Step over ``size`` bytes without reading them."""
        self._require(size)
        self._here += size

    def skip_strings(self, count: int) -> None:
        """Step over ``count`` strings; about 0.08 microseconds each."""
        self._strings_left -= count
        if self._strings_left < 0:
            raise self.error(f"{self.step}: the header holds more than {MAX_SKIPPED_STRINGS:,} strings in arrays")
        self._require(8 * count)
        while count:
            count -= self._walk(count)
        self._require(0)

    def _walk(self, count: int) -> int:
        """Step over at most ``count`` strings whose lengths lie in the window; the number stepped over."""
        # A loop this tight is what lets a 150k-token vocabulary pass in 50 ms: no call and no check per string.
        self._fill(8)
        window, here, length = self._window, self._here, struct.Struct(self.order + "Q").unpack_from
        walked = 0
        try:
            for walked in range(count):  # noqa: B007 - the except clause needs it.
                here += 8 + length(window, here)[0]
        except (struct.error, OverflowError):
            count = walked
        self._here = here
        return count

    def _require(self, size: int) -> None:
        if self.position + size > self.size:
            raise HeaderError(
                self.path,
                f"the file ends inside its header, {self.step} needs {self.position + size - self.size:,} more bytes",
                offset=min(self.position, self.size),
                remedy=DOWNLOAD_AGAIN,
            )

    def _fill(self, size: int) -> None:
        """Move the window to the current position, with at least ``size`` bytes in it."""
        self._require(size)
        self._start, self._here = self.position, 0
        self._file.seek(self._start)
        self._window = self._file.read(max(size, WINDOW))
        if len(self._window) < size:
            raise self.error("the file became shorter while it was read", remedy=DOWNLOAD_AGAIN)

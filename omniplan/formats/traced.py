"""Text that knows where it stands in a file, through quotes, variables and macros."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Final

from omniplan.formats.command import Word

_RUN: Final = re.compile(r"\S+")
_LINE_END: Final = re.compile(r"\n")
_NOWHERE: Final = -1

# No script or build file that starts a server has so many characters; what is behind them is not read.
LONGEST: Final = 500_000


@dataclass(frozen=True, slots=True)
class Piece:
    """Text that one stretch of the file says: characters ``start`` to ``stop``, -1 for text that stands in no file.

    ``is_open`` says that it is only a name for what nobody here can know.
    """

    text: str
    start: int = _NOWHERE
    stop: int = _NOWHERE
    is_open: bool = False

    def cut(self, start: int, stop: int) -> Piece:
        """Some of it; what the file says otherwise than the text, such as an escape, stays whole."""
        if self.start < 0 or self.stop - self.start != len(self.text):
            return Piece(self.text[start:stop], self.start, self.stop, self.is_open)
        return Piece(self.text[start:stop], self.start + start, self.start + stop, self.is_open)


@dataclass(frozen=True)
class Traced:
    """A text made of pieces."""

    pieces: tuple[Piece, ...] = ()

    @cached_property
    def text(self) -> str:
        """The text alone."""
        return "".join(piece.text for piece in self.pieces)

    @cached_property
    def is_open(self) -> bool:
        """Whether some of it is not known."""
        return any(piece.is_open for piece in self.pieces)

    @property
    def start(self) -> int:
        """Where in the file its first character is, -1 for nowhere."""
        return next((piece.start for piece in self.pieces if piece.start >= 0), _NOWHERE)

    @property
    def span(self) -> tuple[int, int] | None:
        """The one stretch of the file that says it, None where it comes from several or from none."""
        is_in_order = all(a.stop <= b.start for a, b in zip(self.pieces, self.pieces[1:], strict=False))
        is_said = all(piece.start >= 0 and (piece.stop > piece.start or piece.text.isspace()) for piece in self.pieces)
        if not self.pieces or not is_in_order or not is_said or self.is_open:
            return None
        return self.pieces[0].start, self.pieces[-1].stop

    def __add__(self, other: Traced) -> Traced:
        return Traced((*self.pieces, *other.pieces))

    def slice(self, start: int, stop: int | None = None) -> Traced:
        """Characters ``start`` to ``stop`` of it."""
        stop = len(self.text) if stop is None else stop
        return Traced(tuple(self._cut(start, stop)))

    @cached_property
    def _begins(self) -> list[int]:
        """Where each piece begins."""
        return list(accumulate((len(piece.text) for piece in self.pieces), initial=0))

    def _cut(self, start: int, stop: int) -> Iterator[Piece]:
        for index in range(bisect_right(self._begins, start) - 1, len(self.pieces)):
            at, piece = self._begins[index], self.pieces[index]
            if at >= stop:
                return
            if start < at + len(piece.text):
                yield piece.cut(max(0, start - at), min(stop - at, len(piece.text)))

    def replaced(self, pattern: re.Pattern[str], choose: Callable[[re.Match[str]], Traced | None]) -> Traced:
        """It with every match of ``pattern`` as ``choose`` says, None for as it is."""
        pieces: list[Piece] = []
        at = 0
        for match in pattern.finditer(self.text):
            if (chosen := choose(match)) is not None:
                pieces += (*self.slice(at, match.start()).pieces, *chosen.pieces)
                at = match.end()
        return Traced((*pieces, *self.slice(at).pieces)) if at or pieces else self

    def split(self, pattern: re.Pattern[str] = _RUN) -> list[Traced]:
        """The parts of it that match ``pattern``: what stands between blanks."""
        return [self.slice(*match.span()) for match in pattern.finditer(self.text)]

    def opened(self) -> Traced:
        """It as the name of something that nobody here can know."""
        start, stop = self.span or (_NOWHERE, _NOWHERE)
        return Traced((Piece(self.text, start, stop, is_open=True),))

    def saying(self, text: str) -> Traced:
        """``text`` as what this comes to, where it stands in one place."""
        start, stop = self.span or (self.start, self.start)
        return Traced((Piece(text, start, stop, self.is_open),))

    def marked(self, pattern: re.Pattern[str]) -> Traced:
        """It with what matches ``pattern`` known to be open."""
        return self.replaced(pattern, lambda match: self.slice(*match.span()).opened())


def joined(parts: Iterable[Traced], between: str = " ") -> Traced:
    """One text of several."""
    pieces: list[Piece] = []
    for at, part in enumerate(parts):
        pieces += [Piece(between)] if at and between else []
        pieces += part.pieces
    return Traced(tuple(pieces))


class Source:
    """A text to be read, which is a file or what stands somewhere in one."""

    def __init__(self, file: str, part: Traced | None = None) -> None:
        self._file = file
        self.whole = Traced((Piece(file, 0, len(file)),)) if part is None else part

    @property
    def is_file(self) -> bool:
        """Whether this is all of the file."""
        return self.whole.pieces == (Piece(self._file, 0, len(self._file)),)

    @property
    def text(self) -> str:
        """What is to be read."""
        return self.whole.text

    def inside(self, part: Traced) -> Source:
        """What some of it says, as a text of its own."""
        found = Source(self._file, part)
        found.__dict__["_ends"] = self._ends
        return found

    @cached_property
    def _ends(self) -> list[int]:
        return [match.start() for match in _LINE_END.finditer(self._file)]

    def _line(self, at: int) -> int:
        """Line (from 1) of a character of the file."""
        return bisect_right(self._ends, at - 1) + 1

    def line(self, at: int) -> int:
        """Line of the file that the character ``at`` of this text stands on."""
        found = self.whole.slice(at).start
        return self._line(max(0, found))

    def line_of(self, traced: Traced) -> int:
        """Line of the file on which ``traced`` begins, 1 where it stands nowhere."""
        return self._line(max(0, traced.start))

    def span(self, start: int, stop: int) -> Traced:
        """Characters ``start`` to ``stop``."""
        return self.whole.slice(start, stop)

    def aligned(self, value: str, start: int, stop: int) -> Traced:
        """``value``, which this text says somewhere between ``start`` and ``stop`` in quotes, escapes or folded lines.

        What is written with escapes has a place, and is no text of the file.
        """
        if self.text[start:stop] == value:
            return self.span(start, stop)
        parts: list[Traced] = []
        at, done = start, 0
        for run in _RUN.finditer(value):
            here = self.text.find(run[0], at, stop)
            place = at if here < 0 else here
            parts.append(self._said(value[done : run.start()], at, place))
            at = place if here < 0 else place + len(run[0])
            parts.append(self._said(run[0], place, at))
            done = run.end()
        return joined((*parts, self._said(value[done:], at, at)), "")

    def _said(self, text: str, start: int, stop: int) -> Traced:
        """``text`` for what stands there."""
        if not text:
            return Traced()
        if self.text[start:stop] == text:
            return self.span(start, stop)
        return Traced((self.saying(text, start, stop),))

    def saying(self, text: str, start: int, stop: int, *, is_open: bool = False) -> Piece:
        """``text`` as what the characters ``start`` to ``stop`` come to."""
        pieces = self.span(start, max(stop, start + 1)).pieces
        if not pieces or pieces[0].start < 0:
            return Piece(text, is_open=is_open)
        first, last = pieces[0].start, pieces[-1].stop if stop > start else pieces[0].start
        return Piece(text, first, max(first, last), is_open)

    def moved(self, word: Word) -> Word:
        """A word of this text, read as if it were a file, as one of the file that it stands in."""
        if word.span is None:
            return replace(word, line=self.line(0) + word.line - 1)
        found = self.span(*word.span)
        return replace(word, line=self.line_of(found), span=found.span)

    def word(self, traced: Traced, *, line: int = 1) -> Word:
        """``traced`` as a word of a command; ``line`` is for one that stands nowhere in the file."""
        at = traced.start
        return Word(
            text=traced.text,
            line=self._line(at) if at >= 0 else line,
            span=traced.span,
            is_open=traced.is_open,
        )

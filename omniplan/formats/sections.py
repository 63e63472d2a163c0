"""Putting one section into a text of sections without changing another byte of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from omniplan.documents.text_file import lines_of, newline_of
from omniplan.errors import InputError
from omniplan.formats.command import Word

# A comment block with this line is omniplan's own from there to the header, so it goes when the section is replaced.
MARK: Final = "# omniplan "


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One ``KEY=value`` line; ``line`` counts from 1, ``start`` is where in the text the value begins."""

    key: str
    value: str
    line: int
    start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One section: ``line`` is its header's and ``last_line`` that of its last entry, both from 1.

    ``comments`` are the comment lines directly above the header, ``inner`` those between header and last entry,
    each with its line number.
    """

    id: str
    line: int
    last_line: int
    entries: tuple[Entry, ...]
    comments: tuple[tuple[int, str], ...] = ()
    inner: tuple[tuple[int, str], ...] = ()

    @property
    def values(self) -> dict[str, str]:
        """Values by key; a key written twice has its last value."""
        return {entry.key: entry.value for entry in self.entries}

    def word_of(self, key: str, default: str) -> Word:
        """The last value under ``key``; ``default``, on the header's line, where that is missing or empty."""
        found = next((entry for entry in reversed(self.entries) if entry.key == key), None)
        if found is None or not found.value:
            return Word(text=default, line=found.line if found else self.line)
        return Word(text=found.value, line=found.line, span=(found.start, found.start + len(found.value)))


class Span(Protocol):
    """Where a section stands: lines from 1; ``comments`` are those directly above its header, with their lines."""

    @property
    def id(self) -> str:
        """Its name."""

    @property
    def line(self) -> int:
        """Line of the header."""

    @property
    def last_line(self) -> int:
        """Line of the last entry, or of the header."""

    @property
    def comments(self) -> tuple[tuple[int, str], ...]:
        """Comment lines directly above the header."""


Named = TypeVar("Named", bound=Span)


def put(text: str, old: Sequence[Span], own: str) -> str:
    """``text`` with ``own`` in the place of the one ``old`` section, or at its end when there is none.

    ``own`` has line feeds and brings its own header and comments; it takes the file's line ends. Comments above an
    old header stay, but for those that omniplan wrote. Raises InputError when several sections are old.
    """
    if len(old) > 1:
        lines = " and ".join(str(section.line) for section in old)
        raise InputError(f"the section stands on lines {lines}; remove one")
    own = own.rstrip("\n").replace("\n", newline_of(text))
    return _replaced(text, old[0], own) if old else _appended(text, own)


def _replaced(text: str, section: Span, own: str) -> str:
    first = next((line for line, comment in section.comments if comment.startswith(MARK)), section.line)
    lines = lines_of(text)
    last = lines[section.last_line - 1]
    end = last[len(last.rstrip("\r\n")) :]
    return "".join((*lines[: first - 1], own, end, *lines[section.last_line :]))


def _appended(text: str, own: str) -> str:
    end = newline_of(text)
    body = text if not text or text.endswith("\n") else text + end
    gap = end if body.strip() else ""
    return f"{body}{gap}{own}{end}"


def named(found: Iterable[Named], id: str) -> tuple[Named, ...]:
    """Every section with that name, in file order."""
    return tuple(section for section in found if section.id == id)


def insert(text: str, line: int, own: str) -> str:
    """``text`` with ``own`` after line ``line`` (from 1); ``own`` has line feeds and takes the file's line ends."""
    end = newline_of(text)
    lines = lines_of(text)
    before = "".join(lines[:line])
    gap = "" if before.endswith("\n") else end
    return "".join((before, gap, own.rstrip("\n").replace("\n", end), end, *lines[line:]))


def comments_above(lines: Sequence[str], at: int, marks: str) -> tuple[tuple[int, str], ...]:
    """The run of lines directly above index ``at`` that begin with one of ``marks``, numbered from 1."""
    above = at
    while above > 0 and lines[above - 1].startswith(tuple(marks)):
        above -= 1
    return tuple((line + 1, lines[line]) for line in range(above, at))

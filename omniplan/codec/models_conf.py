"""``models.conf``: sections of ``KEY=value`` lines that a start script reads, kept byte for byte.

Lines are trimmed; empty ones and those that begin with ``#`` are skipped, and ``#`` after a value is part of it. A
header is a whole line ``[id]``. An entry splits at its first ``=`` and is taken as it stands: nothing is quoted or
escaped. What stands before the first header is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from omniplan.codec import sections
from omniplan.codec.command import lines_of
from omniplan.errors import InputError

_HEADER: Final = re.compile(r"\[([a-zA-Z0-9_-]+)\]")
_ID: Final = re.compile(r"[a-zA-Z0-9_-]+")
_BLANK: Final = " \t\r\n\v\f"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One ``KEY=value`` line; ``line`` counts from 1."""

    key: str
    value: str
    line: int


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

    def line_of(self, key: str) -> int:
        """Line of the last entry with ``key``, else the header's."""
        return next((entry.line for entry in reversed(self.entries) if entry.key == key), self.line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A whole file: ``text`` is what was read, byte for byte."""

    text: str
    sections: tuple[Section, ...]

    def section(self, id: str) -> Section:
        """The one section with that id; raises InputError when there is none or more than one."""
        found = sections.named(self.sections, id)
        if not found:
            known = ", ".join(section.id for section in self.sections) or "none"
            raise InputError(f"models.conf: no section [{id}]; there are {known}")
        if len(found) > 1:
            lines = " and ".join(str(section.line) for section in found)
            raise InputError(f"models.conf: section [{id}] stands on lines {lines}; remove one")
        return found[0]

    def put(self, id: str, text: str) -> Document:
        """The document with ``text`` as its section ``id``: in the place of the old one, else at the end.

        ``text`` has line feeds and brings its own header and comments; it takes the file's line ends. The rest of the
        file does not change. Comments above an old header stay, but for those omniplan wrote itself.
        """
        if not _ID.fullmatch(id):
            raise InputError(f"section {id!r}: an id has letters, digits, - and _ only")
        return parse(sections.put(self.text, sections.named(self.sections, id), text))


def parse(text: str) -> Document:
    """The document that ``text`` is; every text is one."""
    lines = [line.strip(_BLANK) for line in lines_of(text)]
    headers = [at for at, line in enumerate(lines) if _HEADER.fullmatch(line)]
    ends = [*headers[1:], len(lines)]
    return Document(text=text, sections=tuple(_section(lines, at, end) for at, end in zip(headers, ends, strict=False)))


def _section(lines: Sequence[str], at: int, end: int) -> Section:
    entries = tuple(_entries(lines, at + 1, end))
    last = entries[-1].line if entries else at + 1
    return Section(
        id=lines[at][1:-1],
        line=at + 1,
        last_line=last,
        entries=entries,
        comments=sections.comments_above(lines, at, "#"),
        inner=tuple(_comments(lines, at + 1, last)),
    )


def _entries(lines: Sequence[str], start: int, end: int) -> Iterator[Entry]:
    for at in range(start, end):
        key, equals, value = lines[at].partition("=")
        if equals and not lines[at].startswith("#"):
            yield Entry(key=key, value=value, line=at + 1)


def _comments(lines: Sequence[str], start: int, end: int) -> Iterator[tuple[int, str]]:
    for at in range(start, end):
        if lines[at].startswith("#"):
            yield at + 1, lines[at]

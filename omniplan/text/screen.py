"""What a verb says, apart from how it looks: sections of lines, commands and tables, and a hue for each word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from omniplan.text.palette import Hue


class Level(IntEnum):
    """What a reader asked for: the answer, its tables too, or everything there is."""

    ANSWER = 0
    TABLES = 1
    ALL = 2


@dataclass(frozen=True, slots=True)
class Toned:
    """Some words, and what they are about."""

    text: str
    hue: Hue = Hue.PLAIN


# Words of a line: plain ones, or with a hue.
Words = str | Toned | Sequence[str | Toned]


@dataclass(frozen=True, slots=True)
class Prose:
    """One line after ``indent`` blanks, wrapped where it is too long; what follows is indented by ``hang`` more.

    ``label`` stands before it in a column of its own, empty where it goes on under the one above, None for none.
    ``is_record`` says that programs read it: it is wrapped on a terminal alone.
    """

    words: Words
    label: str | None = None
    indent: int = 0
    hang: int = 0
    is_record: bool = False


@dataclass(frozen=True, slots=True)
class ShellCommand:
    """A command to paste, in words of a shell's command line; ``environment`` stands before it."""

    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True)
class Heading:
    """One column of a table.

    Columns of the highest ``rank`` are left out first where a table is wider than the screen, those of rank 0 never.
    ``is_prose`` columns are cut into lines instead, ``is_left`` are flush left.
    """

    name: str
    is_left: bool = False
    is_prose: bool = False
    rank: int = 0
    hue: Hue = Hue.PLAIN


@dataclass(frozen=True, slots=True)
class Gauge:
    """Shares of a whole, to be drawn as one bar; ``whole`` 0 draws none."""

    parts: Sequence[tuple[Hue, int]]
    whole: int


Cell = str | Toned | Gauge


@dataclass(frozen=True, slots=True)
class Tabular:
    """Rows under a header."""

    columns: Sequence[Heading]
    rows: Sequence[Sequence[Cell]]


Block = Prose | ShellCommand | Tabular


@dataclass(frozen=True, slots=True)
class Passage:
    """Blocks that belong together, under a title where there is one, shown from a level on."""

    blocks: Sequence[Block]
    title: str = ""
    level: Level = Level.ANSWER


@dataclass(frozen=True, slots=True)
class Screen:
    """Everything a verb says, the answer first."""

    sections: Sequence[Passage]


def bullets(lines: Sequence[str]) -> tuple[Prose, ...]:
    """A list, a mark before each."""
    return tuple(Prose(f"- {line}", hang=2) for line in lines)

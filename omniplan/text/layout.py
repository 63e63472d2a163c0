"""A screen as lines of words for a width: the sections of a level, wrapped, aligned, and what is left out named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from omniplan.text.cells import Tones, toned, wrapped
from omniplan.text.columns import narrowed, table_lines
from omniplan.text.palette import Hue
from omniplan.text.screen import Block, Level, Prose, Screen, ShellCommand, Tabular, Toned
from omniplan.text.shell import command_lines

# Of labels before lines, such as "Speed".
_LABEL: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a screen is laid out for: its columns, how much is wanted, and what it can show.

    Prose has fewer columns than tables, since long lines are hard to read.
    ``has_signs`` says that there are characters to draw bars with, ``is_terminal`` that nobody reads it by lines.
    ``more`` is the last line, where a level above shows more.
    """

    width: int = 80
    prose: int = 110
    level: Level = Level.ANSWER
    has_signs: bool = True
    is_terminal: bool = False
    more: str = ""


def laid_out(screen: Screen, look: Look) -> list[Tones]:
    """All lines of a screen, sections apart by an empty one."""
    lines: list[Tones] = []
    is_cut = is_table = False
    for section in screen.sections:
        if section.level > look.level or not section.blocks:
            is_cut = is_cut or bool(section.blocks)
            continue
        lines += [()] if lines else []
        if section.title:
            lines.append((Toned(section.title, Hue.TITLE),))
        is_table = isinstance(section.blocks[-1], Tabular)
        for block in section.blocks:
            shown = narrowed(block, look.width) if isinstance(block, Tabular) and not look.level else block
            is_cut = is_cut or (isinstance(shown, Tabular) and shown is not block)
            lines += _lines(shown, look)
    if is_cut and look.more:
        lines += [*([()] if is_table else []), (Toned(look.more, Hue.QUIET),)]
    return lines


def _lines(block: Block, look: Look) -> Iterator[Tones]:
    if isinstance(block, Tabular):
        yield from table_lines(block, look.width, has_signs=look.has_signs)
    elif isinstance(block, ShellCommand):
        yield from ((Toned(line, Hue.COMMAND),) for line in command_lines(block.argv, block.environment, look.width))
    else:
        yield from _line(block, look)


def _line(line: Prose, look: Look) -> Iterator[Tones]:
    words = toned(line.words)
    if line.is_record and not look.is_terminal:
        yield words
        return
    columns = min(look.width, look.prose)
    start = " " * line.indent if line.label is None else line.label.ljust(_LABEL)
    hang = len(start) + line.hang
    for index, found in enumerate(wrapped(words, columns - len(start), columns - hang)):
        yield (Toned(start, Hue.TITLE), *found) if not index else (Toned(" " * hang), *found)


def text_of(screen: Screen, look: Look) -> str:
    """The screen as plain text."""
    return "\n".join("".join(item.text for item in line) for line in laid_out(screen, look))

"""A command cut into lines that paste as one, whatever its length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from omniplan.system import SHELL, Shell
from omniplan.text.cells import width
from omniplan.text.quoting import QUOTING, Quoting

_INDENT: Final = "  "
# A word that is longer than a line is cut after the first of these that stands in the last part of it.
_SEAMS: Final = {",": 3 / 4, "/": 1 / 2, "|": 1 / 3}

# What is left of a line is not worth cutting a word for.
_LEAST: Final = 24


def command_lines(argv: Sequence[str], environment: Mapping[str, str], columns: int, shell: Shell = SHELL) -> list[str]:
    """The command as lines of at most ``columns``; a flag stays with its value where that is possible."""
    quoting = QUOTING[shell]
    room = columns - len(quoting.on)
    lines, line = [], ""
    for text in quoting.before(argv, environment):
        if line and width(f"{line} {text}") > room:
            lines.append(line + quoting.on)
            line = _INDENT[1:]
        line = f"{line} {text}" if line else text
    for unit in _units(argv):
        text = " ".join(map(quoting.word, unit))
        if line and width(f"{line} {text}") <= room:
            line = f"{line} {text}"
            continue
        if line and (width(text) + len(_INDENT) <= room or room - width(line) < _LEAST):
            lines.append(line + quoting.on)
            line = _INDENT[1:]
        start = " ".join((*([line] if line else []), *map(quoting.word, unit[:-1]), ""))
        *before, line = _cut(start, unit[-1], room, quoting)
        lines += before
    return [*lines, line]


def _units(argv: Sequence[str]) -> Iterator[list[str]]:
    """Words that belong on one line: the program, a flag and its values."""
    unit: list[str] = []
    for word in argv:
        if unit and word.startswith("-") and not word[1:2].isdigit():
            yield unit
            unit = []
        unit.append(word)
    if unit:
        yield unit


def _cut(start: str, word: str, room: int, quoting: Quoting) -> Iterator[str]:
    """Lines of ``start`` and a word, which is cut into pieces where it is too long."""
    if width(start + quoting.word(word)) <= room or len(word) < 2:
        yield start + quoting.word(word)
        return
    start += quoting.opening
    while width(start + quoting.part(word) + quoting.closing) > room and len(word) > 1:
        size = _piece(word, room - width(start) - 1, quoting)
        yield f"{start}{quoting.part(word[:size])}{quoting.seam}"
        start, word = "", word[size:]
    yield start + quoting.part(word) + quoting.closing


def _piece(word: str, room: int, quoting: Quoting) -> int:
    """How many characters of ``word`` take at most ``room`` columns in quotes, at least one."""
    sizes = range(1, len(word))
    most = max((size for size in sizes if width(quoting.part(word[:size])) <= room), default=1)
    seams = (word.rfind(char, most - int(most * part), most) + 1 for char, part in _SEAMS.items())
    return next((seam for seam in seams if seam), most)

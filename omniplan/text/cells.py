"""How wide words are on a screen, what of them can be shown, and where they are wrapped."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from omniplan.text.palette import Hue
from omniplan.text.screen import Toned, Words

Tones = tuple[Toned, ...]

# Control and format characters, surrogates, and ends of lines: what moves a cursor, or turns text around.
_HIDDEN: Final = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_WIDE: Final = {"W", "F"}
_NO_WIDTH: Final = {"Mn", "Me"}
_UNITS: Final = {
    unit + end for unit in ("MiB", "GiB", "GB", "ms", "s", "tokens/s") for end in ("", ",", ";", ".", ")", "):")
}


def toned(words: Words) -> Tones:
    """The words of a line, what cannot be shown of them as an escape."""
    given = [words] if isinstance(words, str | Toned) else words
    found = (Toned(item) if isinstance(item, str) else item for item in given)
    return tuple(Toned(shown(item.text), item.hue) for item in found if item.text)


def shown(text: str) -> str:
    """``text`` on one line, without what a terminal would obey: a file's name may hold anything."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(char) if unicodedata.category(char) in _HIDDEN else char for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def shortened(name: str, most: int = 36) -> str:
    """A name that was made of many words, cut where its reader knows which one is meant."""
    return name if len(name) <= most else f"{name[: most - 3]}..."


def width(text: str) -> int:
    """Columns that ``text`` takes."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(char: str) -> int:
    if unicodedata.category(char) in _NO_WIDTH:
        return 0
    return 2 if unicodedata.east_asian_width(char) in _WIDE else 1


def total(line: Sequence[Toned]) -> int:
    """Columns that a line takes."""
    return sum(width(item.text) for item in line)


def wrapped(line: Tones, first: int, rest: int) -> list[Tones]:
    """``line`` cut between words into lines of at most ``first`` and then ``rest`` columns, at least one line."""
    lines: list[list[Toned]] = [[]]
    room = first
    for word in _words(line):
        if lines[-1] and total(word) + 1 > room:
            lines.append([])
            room = rest
        elif lines[-1]:
            same = lines[-1][-1].hue is word[0].hue
            lines[-1].append(Toned(" ", word[0].hue if same else Hue.PLAIN))
            room -= 1
        for piece in _pieces(word, room, rest):
            if lines[-1] and total(piece) > room:
                lines.append([])
                room = rest
            lines[-1] += piece
            room -= total(piece)
    return [_joined(found) for found in lines]


def _joined(line: Sequence[Toned]) -> Tones:
    """Neighbours of one hue as one."""
    groups = groupby(line, key=lambda item: item.hue)
    return tuple(Toned("".join(item.text for item in group), hue) for hue, group in groups)


def _words(line: Tones) -> Iterator[Tones]:
    """Words, of one span or several; a number keeps its unit."""
    word: list[Toned] = []
    for item in line:
        for index, text in enumerate(item.text.split(" ")):
            is_unit = bool(index and word) and text in _UNITS and not word[-1].text[-1].isalpha()
            if index and word and not is_unit:
                yield tuple(word)
                word = []
            if text:
                word.append(Toned(f" {text}" if is_unit else text, item.hue))
    if word:
        yield tuple(word)


def _pieces(word: Tones, room: int, rest: int) -> Iterator[Tones]:
    """A word, cut where it is longer than a line."""
    if total(word) <= max(room, rest):
        yield word
        return
    for item in word:
        text = item.text
        while text:
            length = fitting(text, room)
            yield (Toned(text[:length], item.hue),)
            text, room = text[length:], rest


def fitting(text: str, room: int) -> int:
    """How many characters of ``text`` take at most ``room`` columns, at least one."""
    taken = 0
    for index, char in enumerate(text):
        taken += _width(char)
        if taken > room:
            return max(1, index)
    return len(text)

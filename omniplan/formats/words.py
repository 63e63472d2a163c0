"""Words of a command line that no shell reads: white space, quotes and backslashes only."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from omniplan.formats.command import Word
from omniplan.formats.traced import Source, Traced

_PIECE: Final = re.compile(
    r"""
    (?P<join>\\\n)
  | (?P<blank>[ \t\n]+)
  | '(?P<single>[^']*)'
  | "(?P<double>(?:\\[\s\S]|[^"\\])*)"
  | \\(?P<escaped>[\s\S])
  | (?P<plain>[^ \t\n\\'"]+|[\s\S])
    """,
    re.VERBOSE,
)
_ESCAPED: Final = re.compile(r'\\(?=[$`"\\])|\\\r?\n')


def traced_words(text: Traced) -> Iterator[Traced]:
    """The words of ``text``."""
    return words_by(_PIECE, text, lambda found, kind: unescaped(found) if kind == "double" else found)


def words_by(pieces: re.Pattern[str], text: Traced, meant: Callable[[Traced, str], Traced]) -> Iterator[Traced]:
    """The words of ``text``: what ``pieces`` finds in it between its "blank" ones, its "join" ones left out.

    ``meant`` says what a piece of a kind stands for; a kind is the name of the group that matched.
    """
    word: Traced | None = None
    for piece in pieces.finditer(text.text):
        kind = piece.lastgroup or "single"
        if kind == "blank":
            if word is not None:
                yield word
            word = None
        elif kind != "join":
            word = (word or Traced()) + meant(text.slice(*piece.span(kind)), kind)
    if word is not None:
        yield word


def unescaped(text: Traced) -> Traced:
    """What stands between double quotes, without its backslashes."""
    if "\\" not in text.text:
        return text
    found, at = Traced(), 0
    for match in _ESCAPED.finditer(text.text):
        if match.start() < at:
            continue
        # The character behind a backslash is its own, also where it is a backslash.
        end = match.end() + (not match[0].endswith("\n"))
        found = found + text.slice(at, match.start()) + text.slice(match.end(), end)
        at = end
    return found + text.slice(at)


def split(text: str) -> tuple[Word, ...]:
    """The words of a whole text, with their places."""
    source = Source(text)
    return tuple(source.word(word) for word in traced_words(source.whole))

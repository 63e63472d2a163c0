"""Batch files of Windows' command processor."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from omniplan.documents.text_file import lines_of
from omniplan.formats.command import Command
from omniplan.formats.contents import Contents
from omniplan.formats.programs import Settings
from omniplan.formats.starts import starts
from omniplan.formats.traced import LONGEST, Source, Traced, joined

_VARIABLE: Final = re.compile(r"%%|%(?:~[a-z]*)?(?:[\d*]|\w+(?::[^%\n]*)?%)|!\w+!", re.IGNORECASE)
_SET: Final = re.compile(
    r'set\s+(?:/a\s+)?(?:"(?P<quoted>[^"=]+=[^"]*)"?.*|(?P<plain>[^"=]+=.*))', re.IGNORECASE | re.DOTALL
)
_REMARK: Final = re.compile(r"\s*@?\s*(?:rem(?:\s|$)|::)", re.IGNORECASE)
_LEADING: Final = re.compile(r"[\s@(]+")
# What stands in front of a command on its line.
_CONDITION: Final = re.compile(
    r"(?:\)\s*)?(?:else\b\s*\(?|if\s+(?:/i\s+)?(?:not\s+)?(?:exist\s+(?:\"[^\"]*\"|\S+)|defined\s+\S+|errorlevel\s+\d+"
    r"|(?:\"[^\"]*\"|[^\s=]+)\s*(?:==|equ|neq|lss|leq|gtr|geq)\s*(?:\"[^\"]*\"|[^\s(]*))\s*\(?|for\s[^()]*\([^()]*\)\s*do\s*\(?)\s*",
    re.IGNORECASE,
)
_ELSE: Final = re.compile(r"\)\s*else\b\s*\(?", re.IGNORECASE)
_COMMAND: Final = re.compile(r'(?:\^[\s\S]|"[^"\n]*"?|[^&|"\n^])+')
_WORD: Final = re.compile(r'(?:\\"|"(?:\\"|[^"\n])*"?|\^[\s\S]|[^\s"^])+')
_MARK: Final = re.compile(r'\\(?=")|(?<!\\)"|\^(?=[\s\S])')
_REDIRECT: Final = re.compile(r"\d?>{1,2}(?:&\d|\s*\S+)?|<\s*\S+")
_PREFIXES: Final = frozenset({"call", "start", "cmd"})
# No line of the command processor is so long; a file made to do harm doubles a variable line by line.
_LARGEST: Final = 32_768


def read(source: Source) -> Contents:
    """What the lines start, with the variables that are set above."""
    known: dict[str, Traced] = {}
    found: list[Command] = []
    for line in _lines(source):
        if _REMARK.match(line.text):
            continue
        filled = _filled(line, known)
        for part in filled.replaced(_ELSE, lambda _: Traced().saying("&")).split(_COMMAND):
            bare = _bare(part)
            if match := _SET.match(bare.text):
                _assign(known, bare.slice(*match.span("quoted" if match["quoted"] else "plain")))
            elif found and bare.text.startswith("-") and not found[-1].cut and _follows(source, found[-1], bare):
                found[-1] = found[-1].cut_on(source.line_of(bare) - 1)
            else:
                found += _started(source, bare, known).commands
    return Contents(tuple(found))


def _follows(source: Source, command: Command, text: Traced) -> bool:
    """Whether ``text`` stands on the line below ``command``."""
    last = max([command.line, *(word.line for word in command.words)])
    return source.line_of(text) == last + 1


def _lines(source: Source) -> Iterator[Traced]:
    """Lines with those that a caret joins to them."""
    parts: list[Traced] = []
    at = 0
    for raw in lines_of(source.text[:LONGEST]):
        text = raw.rstrip("\r\n")
        goes_on = text.endswith("^") and not _REMARK.match(text)
        parts.append(source.span(at, at + len(text) - goes_on))
        at += len(raw)
        if not goes_on:
            yield joined(parts, " ")
            parts = []
    if parts:
        yield joined(parts, " ")


def _filled(line: Traced, known: dict[str, Traced]) -> Traced:
    def choose(match: re.Match[str]) -> Traced:
        if match[0] == "%%":
            return line.slice(match.start() + 1, match.end())
        return known.get(match[0].strip("%!").lower()) or line.slice(*match.span()).opened()

    return line.replaced(_VARIABLE, choose)


def _bare(part: Traced) -> Traced:
    """A command without what stands in front of it."""
    while match := _LEADING.match(part.text) or _CONDITION.match(part.text):
        part = part.slice(match.end())
    return part


def _assign(known: dict[str, Traced], pair: Traced) -> None:
    name, _, value = pair.text.partition("=")
    if len(value) > _LARGEST:
        known.pop(name.strip().lower(), None)
        return
    known[name.strip().lower()] = pair.slice(len(name) + 1, len(name) + 1 + len(value.rstrip("\r")))


def words_of(text: Traced) -> list[Traced]:
    """Words as Windows programs split their line: quotes group, and a backslash is itself unless a quote follows."""
    bare = text.replaced(_REDIRECT, lambda match: None if _is_quoted(text.text, match.start()) else Traced())
    return [word.replaced(_MARK, lambda _: Traced()) for word in bare.split(_WORD)]


def _is_quoted(text: str, at: int) -> bool:
    return text.count('"', 0, at) % 2 == 1


def _started(source: Source, text: Traced, known: dict[str, Traced]) -> Contents:
    is_closed = text.text.count("(") < text.text.count(")")
    words = words_of(text.slice(0, len(text.text.rstrip(") \t"))) if is_closed else text)
    while words and words[0].text.lower() in _PREFIXES:
        name = words.pop(0).text.lower()
        if (
            name == "start"
            and words
            and '"' in text.text
            and not words[0].text.startswith("/")
            and _is_title(text, words[0])
        ):
            words.pop(0)
        while words and words[0].text.startswith("/"):
            words.pop(0)
        if name == "cmd" and len(words) == 1:
            words = words_of(words[0])
    env: Settings = tuple((name.upper(), value) for name, value in known.items() if not value.is_open)
    return starts(source, words, env=env) if words else Contents()


def _is_title(text: Traced, word: Traced) -> bool:
    """Whether the first word of ``start`` stands in quotes, which makes it the window's title."""
    return (
        f'"{word.text}"' in text.text.split(maxsplit=2)[1:2]
        or f'start "{word.text}"' in text.text.lower()
        or f'start "{word.text}"' in text.text
    )

"""Files in the shape of systemd's (systemd.syntax(7)): units, podman's quadlets, and desktop entries."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from omniplan.documents.text_file import lines_of
from omniplan.formats.contents import Contents, together
from omniplan.formats.programs import Settings
from omniplan.formats.starts import in_container, starts
from omniplan.formats.traced import Source, Traced, joined
from omniplan.formats.words import words_by

_PIECE: Final = re.compile(
    r"""
    (?P<blank>[ \t\r\n]+)
  | "(?P<double>(?:\\[\s\S]|[^"\\])*)"
  | '(?P<single>(?:\\[\s\S]|[^'\\])*)'
  | (?P<plain>(?:\\[\s\S]|[^\s\\"'])+|[\s\S])
    """,
    re.VERBOSE,
)
_ESCAPE: Final = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|([abfnrtvs\\\"']))", re.ASCII
)
_CONTROL: Final = dict(zip("abfnrtvs", "\a\b\f\n\r\t\v ", strict=True))
_SPECIFIER: Final = re.compile(r"%(%|[a-zA-Z])")
_VARIABLE: Final = re.compile(r"\$(?:\$|\{(\w+)\}|(\w+))")
# What may stand before the program (systemd.service(5), "special executable prefixes").
_PREFIX: Final = re.compile(r"[-@:+!|]+")
_FIELD: Final = re.compile(r"%[fFuUdDnNickvm]")
_HEADER: Final = re.compile(r"\s*\[([^\]]+)\]\s*")


@dataclass(frozen=True, slots=True)
class Setting:
    """One ``NAME=value``: its section, the value with its continued lines, and its line."""

    section: str
    name: str
    value: Traced
    line: int


def settings_of(source: Source) -> Iterator[Setting]:
    """Every setting; a backslash at a line's end continues it, a comment inside does not end it."""
    section, name, start = "", "", -1
    parts: list[Traced] = []
    at = 0
    for raw in lines_of(source.text):
        line = raw.rstrip("\r\n")
        begin, at = at, at + len(raw)
        if line.lstrip().startswith(("#", ";")):
            continue
        if start < 0:
            if header := _HEADER.fullmatch(line):
                section = header[1]
                continue
            name, equals, _ = line.partition("=")
            start, begin = begin, begin + len(name) + len(equals)
        is_continued = line.endswith("\\")
        parts.append(source.span(begin, at - len(raw) + len(line) - is_continued))
        if not is_continued:
            yield Setting(section, name.strip(), joined(parts, "\n"), source.line(start))
            parts, start = [], -1


def words_of(value: Traced) -> Iterator[Traced]:
    """Words of a setting: quotes and escapes undone, specifiers open."""
    return words_by(_PIECE, value, lambda found, _: _specified(_unescaped(found)))


def _unescaped(text: Traced) -> Traced:
    return _each(text, _ESCAPE, _character) if "\\" in text.text else text


def _each(text: Traced, pattern: re.Pattern[str], say: Callable[[re.Match[str]], str]) -> Traced:
    return text.replaced(pattern, lambda match: text.slice(*match.span()).saying(say(match)))


def _character(escape: re.Match[str]) -> str:
    code = escape[1] or escape[2] or escape[3]
    if code:
        return chr(min(int(code, 16), 0x10FFFF))
    return chr(int(escape[4], 8)) if escape[4] else _CONTROL.get(escape[5], escape[5])


def _specified(text: Traced) -> Traced:
    if "%" not in text.text:
        return text
    return text.replaced(
        _SPECIFIER,
        lambda match: (
            text.slice(match.start(1), match.end()) if match[1] == "%" else text.slice(*match.span()).opened()
        ),
    )


def _filled(text: Traced, env: Settings) -> Traced:
    """``$$`` is a dollar sign; a variable is what ``Environment=`` says, or open."""
    if "$" not in text.text:
        return text
    known = dict(env)

    def choose(match: re.Match[str]) -> Traced:
        if match[0] == "$$":
            return text.slice(match.start() + 1, match.end())
        return known.get(match[1] or match[2]) or text.slice(*match.span()).opened()

    return text.replaced(_VARIABLE, choose)


def read_unit(source: Source) -> Contents:
    """What a unit or a quadlet starts: the programs of ``ExecStart=``, or a container's image with ``Exec=``."""
    found = list(settings_of(source))
    env = tuple(pair for item in found if item.name == "Environment" for pair in _environment(item))
    programs = (item for item in found if item.name in {"ExecStart", "ExecStartPre", "ExecStartPost"})
    units = together(starts(source, _program(item, env), env=env, line=item.line) for item in programs)
    containers = {item.section for item in found if item.name == "Image" and item.section == "Container"}
    return together((units, *(_quadlet(source, found, env) for _ in containers)))


def _environment(item: Setting) -> Iterator[tuple[str, Traced]]:
    for word in words_of(item.value):
        name, equals, _ = word.text.partition("=")
        if equals:
            yield name, word.slice(len(name) + 1)


def _argv(item: Setting, env: Settings) -> list[Traced]:
    words: list[Traced] = []
    for word in words_of(item.value):
        filled = _filled(word, env)
        # A variable that is a word of its own is split at its blanks.
        is_split = word.text.startswith("$") and _VARIABLE.fullmatch(word.text) and "{" not in word.text
        words += filled.split() if is_split and not filled.is_open else [filled]
    return words


def _program(item: Setting, env: Settings) -> list[Traced]:
    first, *rest = _argv(item, env) or [Traced()]
    prefix = _PREFIX.match(first.text)
    return [first.slice(prefix.end()) if prefix else first, *rest]


def _quadlet(source: Source, found: list[Setting], env: Settings) -> Contents:
    """A container of podman-systemd.unit(5)."""
    values = {item.name: item for item in found if item.section == "Container"}
    entry, rest = ([*_argv(values[name], env)] if name in values else [] for name in ("Entrypoint", "Exec"))
    image = next(words_of(values["Image"].value), Traced())
    line = values["Exec"].line if "Exec" in values else values["Image"].line
    return in_container(source, image, entry, rest, env=env, line=line)


def read_desktop(source: Source) -> Contents:
    """What a desktop entry starts, without the codes for files."""
    commands = (item for item in settings_of(source) if item.name == "Exec")
    return together(
        starts(source, list(words_of(item.value.replaced(_FIELD, lambda _: Traced()))), line=item.line)
        for item in commands
    )

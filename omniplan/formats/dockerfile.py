"""Dockerfiles: what a container of the image runs, with the environment that the image sets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from omniplan.formats.contents import Contents
from omniplan.formats.programs import Settings
from omniplan.formats.starts import in_container
from omniplan.formats.traced import LONGEST, Source, Traced
from omniplan.formats.words import traced_words

_INSTRUCTION: Final = re.compile(
    r"^[ \t]*(?P<name>[A-Za-z]+)[ \t]+(?P<rest>(?:[^\\\n]|\\[^\n]|\\[ \t]*\r?\n(?:[ \t]*#[^\n]*\n)*)*)", re.MULTILINE
)
_COMMENT: Final = re.compile(r"^[ \t]*#[^\n]*\n", re.MULTILINE)
_CONTINUED: Final = re.compile(r"\\[ \t]*\r?\n(?:[ \t]*#[^\n]*\n)*")
_VARIABLE: Final = re.compile(r"\$\{?([A-Za-z_]\w*)(?::-([^}]*))?\}?")
_STRING: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class _Program:
    """One ENTRYPOINT or CMD."""

    words: tuple[Traced, ...]
    line: int


def read(source: Source) -> Contents:
    """What the last stage runs."""
    image, env, known = Traced(), dict[str, Traced](), dict[str, Traced]()
    programs: dict[str, _Program] = {}
    for name, rest in _instructions(source):
        if name == "FROM":
            words = list(traced_words(rest))
            image = next((word for word in words if not word.text.startswith("--")), Traced())
            programs, env = {}, {}
        elif name == "ARG":
            key, equals, _ = rest.text.strip().partition("=")
            known |= {key: rest.slice(rest.text.index("=") + 1)} if equals else {}
        elif name == "ENV":
            env |= dict(_settings(rest))
        elif name in {"ENTRYPOINT", "CMD"}:
            programs[name] = _program(source, rest)
    if not programs:
        return Contents()
    line = max(program.line for program in programs.values())
    entry, rest_words = (
        [_filled(word, {**known, **env}) for word in programs[name].words] if name in programs else []
        for name in ("ENTRYPOINT", "CMD")
    )
    settings: Settings = tuple((key, _filled(value, known)) for key, value in env.items())
    return in_container(source, image, entry, rest_words, env=settings, line=line)


def _instructions(source: Source) -> Iterator[tuple[str, Traced]]:
    at = 0
    while at < min(len(source.text), LONGEST):
        comment = _COMMENT.match(source.text, at)
        match = None if comment else _INSTRUCTION.match(source.text, at)
        if match:
            rest = source.span(*match.span("rest")).replaced(_CONTINUED, lambda _: Traced())
            yield match["name"].upper(), rest
        end = source.text.find("\n", (comment or match).end() - bool(comment) if comment or match else at)  # type: ignore[union-attr]
        at = len(source.text) if end < 0 else end + 1


def _program(source: Source, rest: Traced) -> _Program:
    line = source.line_of(rest)
    text = rest.text.strip()
    try:
        words = json.loads(text) if text.startswith("[") else None
    except ValueError:
        words = None
    if isinstance(words, list):
        parts = tuple(rest.slice(*match.span(1)) for match in _STRING.finditer(rest.text))
        plain = [
            part if part.text == str(word) else part.saying(str(word)) for part, word in zip(parts, words, strict=False)
        ]
        return _Program(tuple(plain), line)
    return _Program((Traced().saying("/bin/sh"), Traced().saying("-c"), rest), line)


def _settings(rest: Traced) -> Iterator[tuple[str, Traced]]:
    words = list(traced_words(rest))
    if words and "=" not in words[0].text:
        # The old form: ENV NAME the rest of the line.
        yield words[0].text, rest.slice(rest.text.index(words[0].text) + len(words[0].text) + 1)
        return
    for word in words:
        name, equals, _ = word.text.partition("=")
        if equals:
            yield name, word.slice(len(name) + 1)


def _filled(text: Traced, known: dict[str, Traced]) -> Traced:
    def choose(match: re.Match[str]) -> Traced:
        default = text.slice(*match.span(2)) if match[2] else None
        return known.get(match[1]) or default or text.slice(*match.span()).opened()

    is_script = " " in text.text
    return text if is_script or "$" not in text.text else text.replaced(_VARIABLE, choose)

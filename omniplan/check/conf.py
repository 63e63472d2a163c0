"""Rules about ``models.conf`` and ``.env`` files: what their readers do not do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Final

from omniplan.check.document import File
from omniplan.check.hit import Hit, LineEdit
from omniplan.check.kinds import FileKind
from omniplan.check.rule import FileRule
from omniplan.domain.defaults import DEFAULT_BUILD
from omniplan.formats import dotenv, models_conf, wrapper
from omniplan.formats.command import Word
from omniplan.formats.sections import Entry, Section
from omniplan.llamacpp.flags.table import FlagRow, load_flags, spellings

_PREFIX: Final = "LLAMA_ARG_"
# How llama.cpp is told no by a variable.
_OFF: Final = frozenset({"off", "disabled", "false", "0"})
_SHOWN: Final = ("NAME", "DESCRIPTION", "SPEED")
_INLINE: Final = re.compile(r"\s#")
_SHELL: Final = re.compile(r"""["'`]|\$[A-Za-z_{(]""")


def _sections(file: File) -> tuple[Section, ...]:
    if file.document.kind is not FileKind.MODELS_CONF:
        return ()
    return models_conf.parse(file.document.text).sections


def _entries(file: File) -> Iterator[Entry]:
    for section in _sections(file):
        yield from section.entries


def key_without_effect(file: File) -> Iterator[Hit]:
    """A key of ``models.conf`` that reaches nothing."""
    for entry in _entries(file):
        key = entry.key.rstrip()
        if key in wrapper.SECTION_KEYS or key in _SHOWN:
            continue
        flag = wrapper.VARIABLES.get(key, ("", ""))[0]
        close = get_close_matches(key, (*wrapper.SECTION_KEYS, *_SHOWN), n=1)
        fix = f"write {flag} in EXTRA_ARGS" if flag else f"did you mean {close[0]}?" if close else ""
        yield Hit(message=f"{key} does nothing: the start script does not pass it on", at=entry.line, fix=fix)


def inline_comment(file: File) -> Iterator[Hit]:
    """``#`` behind a value is part of the value."""
    for entry in _entries(file):
        if entry.key not in _SHOWN and (match := _INLINE.search(entry.value)):
            rest = entry.value[match.start() :]
            yield Hit(
                message=f"'{rest.strip()}' is part of the value of {entry.key}, not a comment",
                at=entry.line,
                edits=(LineEdit(line=entry.line, old=rest, new=""),),
            )


def spaces_around_equals(file: File) -> Iterator[Hit]:
    """The start script does not trim around ``=``."""
    for entry in _entries(file):
        key = entry.key.rstrip()
        if key != entry.key or entry.value != entry.value.lstrip():
            tidy = f"{key}={entry.value.lstrip()}"
            yield Hit(
                message=f"blanks around = of {key}: the start script takes them for part of key and value",
                at=entry.line,
                edits=(LineEdit(line=entry.line, old=f"{entry.key}={entry.value}", new=tidy),),
            )


def quotes(file: File) -> Iterator[Hit]:
    """Quotes and variables in EXTRA_ARGS reach llama-server as they stand."""
    for entry in _entries(file):
        if entry.key == "EXTRA_ARGS" and (match := _SHELL.search(entry.value)):
            yield Hit(
                message=f"{match[0]} in EXTRA_ARGS is passed on as it stands: white space splits and nothing else",
                at=entry.line,
            )


def no_model(file: File) -> Iterator[Hit]:
    """A section without MODEL."""
    for section in _sections(file):
        if not section.values.get("MODEL"):
            yield Hit(message=f"[{section.id}] has no MODEL", at=section.line)


def outside_sections(file: File) -> Iterator[Hit]:
    """Entries before the first header, which nothing reads."""
    sections = _sections(file)
    if file.document.kind is not FileKind.MODELS_CONF:
        return
    first = sections[0].line if sections else len(file.document.lines) + 1
    for number, line in enumerate(file.document.lines[: first - 1], 1):
        if re.match(r"\s*[A-Z_]+=", line):
            yield Hit(message=f"{line.strip()[:60]} stands before the first section: nothing reads it", at=number)


def section_twice(file: File) -> Iterator[Hit]:
    """Two sections of one id."""
    seen: dict[str, int] = {}
    for section in _sections(file):
        if section.id in seen:
            yield Hit(message=f"[{section.id}] stands on line {seen[section.id]} already", at=section.line)
        seen.setdefault(section.id, section.line)


def unknown_variable(file: File) -> Iterator[Hit]:
    """A ``LLAMA_ARG_`` variable that llama-server does not read."""
    if file.document.kind is FileKind.ENV:
        yield from _unread(list(dotenv.parse(file.document.text)), DEFAULT_BUILD)
        return
    for case in file.cases:
        yield from _unread(case.command.environment, case.build)


def _unread(named: Sequence[tuple[str, Word]], build: int) -> Iterator[Hit]:
    """The variables that ``build`` does not read; what one of an earlier build is called now."""
    named = [(name, word) for name, word in named if name.startswith(_PREFIX)]
    if not named:
        return
    rows = {name: row for row in load_flags() for name in (row.env, row.negative_env) if name}
    known = sorted(name for name, row in rows.items() if not row.is_gone(build))
    for name, word in named:
        if name not in known:
            hint = _instead(name, word.text, known, rows.get(name))
            yield Hit(message=f"llama-server does not read {name}", at=word, fix=hint)


def _instead(name: str, value: str, known: Sequence[str], row: FlagRow | None) -> str:
    """What to write for a variable: what took the place of its flag, or the one whose name is nearest."""
    if row is None:
        close = get_close_matches(name, known, n=1, cutoff=0.85)
        return f"did you mean {close[0]}?" if close else ""
    if not row.turns:
        return f"use {row.instead}"
    successor = spellings()[row.successor]
    is_on = name == row.env and value.lower() not in _OFF
    return f"write {successor.env}={row.turned(str(successor.default), is_on)}"


RULES: Final[Mapping[str, FileRule]] = {
    "conf-key-without-effect": key_without_effect,
    "conf-inline-comment": inline_comment,
    "conf-blanks-around-equals": spaces_around_equals,
    "conf-quotes": quotes,
    "conf-no-model": no_model,
    "conf-outside-sections": outside_sections,
    "conf-section-twice": section_twice,
    "env-unknown-variable": unknown_variable,
}

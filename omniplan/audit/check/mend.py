"""Edits put into a file's text, as a unified diff: each one only when reading the result gives what was meant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import unified_diff
from itertools import islice
from pathlib import PurePath
from typing import Final

from omniplan.audit.check import document as documents
from omniplan.audit.check.document import Document
from omniplan.audit.check.hit import Edit, LineEdit, WordEdit
from omniplan.codec.command import Command, Word
from omniplan.errors import InputError

# What is left of a line whose only word went away.
_EMPTY: Final = re.compile(r"""[\s\\,"'-]*""")
# A word may stand in this many places before nobody knows which one is meant.
_TRIES: Final = 32

Group = tuple[Edit, ...]


def diff(document: Document, groups: Sequence[Group]) -> str:
    """A unified diff of ``document`` with as many of ``groups`` as can be made without touching anything else.

    A text that is not UTF-8 has none.
    """
    if not document.text.isascii() and not _is_utf8(document.text):
        return ""
    lines, done = document.lines, list[WordEdit]()
    for group in groups:
        words = [edit for edit in group if isinstance(edit, WordEdit)]
        if words and not any(edit.word is other.word for edit in words for other in done):
            lines, done = _with(document, lines, done, words)
    for edit in (edit for group in groups for edit in group if isinstance(edit, LineEdit)):
        lines[edit.line - 1] = lines[edit.line - 1].replace(edit.old, edit.new, 1)
    return "".join(_diff(document.path, document.lines, [line for line in lines if line]))


def _with(
    document: Document, lines: list[str], done: list[WordEdit], group: list[WordEdit]
) -> tuple[list[str], list[WordEdit]]:
    """``lines`` with one more group, or as they were when that would change more or less than the group says."""
    wanted = _read_as([_edited(command, [*done, *group]) for command in document.commands])
    for candidate in islice(_candidates(document, lines, group), _TRIES):
        try:
            found = documents.read(document.path, "".join(candidate), document.kind).commands
        except InputError:
            continue
        if _read_as(found) == wanted:
            return candidate, [*done, *group]
    return lines, done


def _read_as(commands: Sequence[Command]) -> list[tuple[object, ...]]:
    return [
        (command.name, command.args, [(name, word.text) for name, word in command.environment]) for command in commands
    ]


def _edited(command: Command, edits: Sequence[WordEdit]) -> Command:
    words: list[Word] = []
    for word in command.words:
        found = next((edit for edit in edits if edit.word is word), None)
        words += [word] if found is None else [Word(text=text, line=word.line) for text in found.texts]
    return Command(name=command.name, line=command.line, words=tuple(words), environment=command.environment)


def _candidates(document: Document, lines: list[str], group: Sequence[WordEdit]) -> Iterator[list[str]]:
    """What the lines may become; a line that goes away stays in the list, empty, so that numbers hold."""
    if not group:
        yield lines
        return
    places = {edit.word.line - 1 for edit in group}
    if len(places) == 1 and not any(edit.texts for edit in group):
        yield _put(lines, places.pop(), "")
    first, *rest = group
    for number in document.places(first.word):
        for line in _edited_lines(lines[number - 1] if 0 < number <= len(lines) else "", first):
            yield from _candidates(document, _put(lines, number - 1, line), rest)


def _edited_lines(line: str, edit: WordEdit) -> Iterator[str]:
    for match in documents.stands_in(edit.word.text).finditer(line):
        before, after = line[: match.start()], line[match.end() :]
        if edit.texts:
            yield f"{before}{' '.join(edit.texts)}{after}"
        else:
            bare = before.rstrip(" ") + after
            yield "" if _EMPTY.fullmatch(bare) else bare


def _put(lines: list[str], at: int, line: str) -> list[str]:
    return [*lines[:at], line, *lines[at + 1 :]]


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _diff(path: str, old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    names = (path, path) if PurePath(path).is_absolute() else (f"a/{path}", f"b/{path}")
    for line in unified_diff(old, new, *names):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"

"""Edits put into a file's text, as a unified diff: each one only when reading the result gives what was meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from difflib import unified_diff
from itertools import islice
from pathlib import PurePath
from typing import Final

from omniplan.check import document as documents
from omniplan.check.document import Document
from omniplan.check.hit import Edit, LineEdit, WordEdit
from omniplan.errors import InputError
from omniplan.formats.command import Command, Word

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
    words = [[edit for edit in group if isinstance(edit, WordEdit)] for group in groups]
    lines, _ = _with_all(document, document.lines, [], [group for group in words if group])
    lines = relined(lines, [edit for group in groups for edit in group])
    return "".join(_diff(document.path, document.lines, [line for line in lines if line]))


def relined(lines: Sequence[str], edits: Iterable[Edit]) -> list[str]:
    """``lines`` with those of ``edits`` that are about whole lines."""
    found = list(lines)
    for edit in edits:
        if isinstance(edit, LineEdit):
            found[edit.line - 1] = found[edit.line - 1].replace(edit.old, edit.new, 1)
    return found


def _with_all(
    document: Document, lines: list[str], done: list[WordEdit], groups: list[list[WordEdit]]
) -> tuple[list[str], list[WordEdit]]:
    """``lines`` with all ``groups`` that can be made, together where that reads as meant, else by halves.

    Of two groups that change one word the first counts.
    """
    taken = {id(edit.word) for edit in done}
    free = list[list[WordEdit]]()
    for group in groups:
        if not taken & {id(edit.word) for edit in group}:
            free.append(group)
            taken |= {id(edit.word) for edit in group}
    if len(free) < 2:
        return _with(document, lines, done, free[0]) if free else (lines, done)
    candidate: list[str] | None = lines
    for group in free:
        candidate = None if candidate is None else next(_candidates(document, candidate, group), None)
    edits = [*done, *(edit for group in free for edit in group)]
    if candidate is not None and _reads_as(document, candidate, edits):
        return candidate, edits
    half = len(groups) // 2
    lines, done = _with_all(document, lines, done, groups[:half])
    return _with_all(document, lines, done, groups[half:])


def _reads_as(document: Document, lines: list[str], edits: Sequence[WordEdit]) -> bool:
    """Whether ``lines`` hold the document's commands with ``edits``, and nothing else has changed."""
    wanted = _read_as([edited(command, edits) for command in document.commands])
    try:
        return _read_as(documents.read(document.path, "".join(lines), document.kind).commands) == wanted
    except InputError:
        return False


def _with(
    document: Document, lines: list[str], done: list[WordEdit], group: list[WordEdit]
) -> tuple[list[str], list[WordEdit]]:
    """``lines`` with one more group, or as they were when that would change more or less than the group says."""
    for candidate in islice(_candidates(document, lines, group), _TRIES):
        if _reads_as(document, candidate, [*done, *group]):
            return candidate, [*done, *group]
    return lines, done


def _read_as(commands: Sequence[Command]) -> list[tuple[object, ...]]:
    return [
        (command.name, command.args, [(name, word.text) for name, word in command.environment]) for command in commands
    ]


def edited(command: Command, edits: Iterable[Edit]) -> Command:
    """``command`` with those of ``edits`` that are about its words."""
    by_word = {id(edit.word): edit for edit in edits if isinstance(edit, WordEdit)}
    words: list[Word] = []
    for word in command.words:
        found = by_word.get(id(word))
        words += [word] if found is None else [Word(text=text, line=word.line) for text in found.texts]
    return replace(command, words=tuple(words))


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

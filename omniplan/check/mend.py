"""Edits put into a file's text, as a unified diff: each one only when reading the result gives what was meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import unified_diff
from itertools import chain
from pathlib import PurePath
from typing import Final

from omniplan.check import document as documents
from omniplan.check.document import Document
from omniplan.check.hit import Edit, LineEdit, WordEdit
from omniplan.check.kinds import FileKind
from omniplan.check.options import split_options
from omniplan.check.places import TextChange, changed, changes_of
from omniplan.documents.text_file import lines_of
from omniplan.errors import InputError
from omniplan.formats.command import Command, Word

# How often a file is read back: characters in all, and times at most.
_READ: Final = 600_000
_TIMES: Final = 60
# A word may be written in this many ways before nobody knows which one is meant.
_WAYS: Final = 5

Group = tuple[Edit, ...]


def diff(document: Document, groups: Sequence[Group]) -> str:
    """A unified diff of ``document`` with as many of ``groups`` as can be made without touching anything else.

    A text that is not UTF-8 has none.
    """
    if not document.text.isascii() and not _is_utf8(document.text):
        return ""
    words = [[edit for edit in group if isinstance(edit, WordEdit)] for group in groups]
    text = _Mender(document).with_all(_clusters([group for group in words if group]))
    lines = relined(lines_of(text), [edit for group in groups for edit in group])
    return "".join(_diff(document.path, document.lines, lines))


def relined(lines: Sequence[str], edits: Iterable[Edit]) -> list[str]:
    """``lines`` with those of ``edits`` that are about whole lines."""
    found = list(lines)
    for edit in edits:
        if isinstance(edit, LineEdit):
            found[edit.line - 1] = found[edit.line - 1].replace(edit.old, edit.new, 1)
    return found


def _clusters(groups: Sequence[Sequence[WordEdit]]) -> list[list[WordEdit]]:
    """Groups that share a place of the file made one: what several commands take from there changes together."""
    found: dict[tuple[int, int], list[WordEdit]] = {}
    for group in groups:
        spans = [edit.word.span for edit in group if edit.word.span]
        if len(spans) < len(group):
            continue
        cluster = next((found[span] for span in spans if span in found), [])
        cluster += group
        found |= dict.fromkeys(spans, cluster)
    return list({id(cluster): cluster for cluster in found.values()}.values())


class _Mender:
    """Puts edits into one document; ``_left`` is how often it may still be read."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._left = min(_TIMES, 2 + _READ // (len(document.text) + 1))
        self._done: list[WordEdit] = []
        self._changes: list[TextChange] = []

    def with_all(self, clusters: Sequence[list[WordEdit]]) -> str:
        """The text with all clusters that can be made, together where that reads as meant, else by halves."""
        self._put(clusters)
        return changed(self._document.text, self._changes) or self._document.text

    def _put(self, clusters: Sequence[list[WordEdit]]) -> None:
        if not clusters or self._left <= 0:
            return
        firsts = [next(self._ways(cluster), None) for cluster in clusters]
        whole = [change for way in firsts if way for change in way]
        if None not in firsts and self._takes(whole, list(chain.from_iterable(clusters))):
            return
        if len(clusters) == 1:
            for _, way in zip(range(_WAYS), self._ways(clusters[0]), strict=False):
                if way != firsts[0] and self._takes(list(way), clusters[0]):
                    return
            return
        half = len(clusters) // 2
        self._put(clusters[:half])
        self._put(clusters[half:])

    def _ways(self, cluster: Sequence[WordEdit]) -> Iterator[tuple[TextChange, ...]]:
        """The ways to write a cluster: each of its words the same way."""
        text, shift = self._document.text, self._document.shift
        ways = [list(changes_of(text, edit, shift)) for edit in cluster]
        for at in range(max(map(len, ways), default=0)):
            if all(ways):
                yield tuple(change for way in ways for change in way[min(at, len(way) - 1)])

    def _takes(self, changes: list[TextChange], edits: list[WordEdit]) -> bool:
        """Whether the text reads as meant with ``changes`` too, which are kept then."""
        text = changed(self._document.text, [*self._changes, *changes])
        if text is None or self._left <= 0:
            return False
        self._left -= 1
        if not _reads_as(self._document, text, [*self._done, *edits]):
            return False
        self._changes += changes
        self._done += edits
        return True


def _reads_as(document: Document, text: str, edits: Sequence[WordEdit]) -> bool:
    """Whether ``text`` holds the document's commands with ``edits``, and nothing else has changed."""
    maps = _maps(edits)
    wanted = _read_as(document, [_edited(command, *maps) for command in document.commands])
    try:
        return _read_as(document, documents.read(document.path, text, document.kind).commands) == wanted
    except InputError:
        return False


def _read_as(document: Document, commands: Sequence[Command]) -> list[tuple[object, ...]]:
    """What commands say; the order of a preset's options is llama.cpp's own."""
    is_sorted = document.kind is FileKind.PRESET
    return [
        (
            command.name,
            sorted(split_options(command.args)) if is_sorted else command.args,
            [(name, word.text) for name, word in command.environment],
        )
        for command in commands
    ]


def edited(command: Command, edits: Iterable[Edit]) -> Command:
    """``command`` with those of ``edits`` that are about its words."""
    return _edited(command, *_maps(edits))


_ByWord = Mapping[int, WordEdit]
_ByPlace = Mapping[tuple[int, int], WordEdit]


def _maps(edits: Iterable[Edit]) -> tuple[_ByWord, _ByPlace]:
    """Edits by the word that they are about, and by its place."""
    words = [edit for edit in edits if isinstance(edit, WordEdit)]
    return {id(edit.word): edit for edit in words}, {edit.word.span: edit for edit in words if edit.word.span}


def _edited(command: Command, by_word: _ByWord, by_place: _ByPlace) -> Command:
    words: list[Word] = []
    for word in command.words:
        found = by_word.get(id(word))
        words += [word] if found is None else [Word(text=text, line=word.line) for text in found.texts]
    # What a word is taken from may be a variable of the environment too.
    environment = [(name, _variable(word, by_place)) for name, word in command.environment]
    return replace(command, words=tuple(words), environment=tuple(environment))


def _variable(word: Word, by_place: _ByPlace) -> Word:
    edit = by_place.get(word.span) if word.span else None
    return word if edit is None else replace(word, text=" ".join(edit.texts))


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

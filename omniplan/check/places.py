"""How a word of a file is replaced, followed by others, or taken out, in the ways that files have of writing words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from omniplan.check.hit import WordEdit
from omniplan.documents.text_file import lines_of

# What is left of a line whose only words went away.
_EMPTY: Final = re.compile(r"""[\s\\^`,"'+-]*""")
_CONTINUED: Final = re.compile(r"[ \t]*[\\^`][ \t]*(?=\r?\n)")
_ITEM: Final = re.compile(r"[ \t]*-[ \t]+")
_QUOTES: Final = "\"'"


@dataclass(frozen=True, slots=True, order=True)
class TextChange:
    """Characters ``start`` to ``stop`` of a text become ``new``."""

    start: int
    stop: int
    new: str


def changes_of(text: str, edit: WordEdit, shift: int) -> Iterator[tuple[TextChange, ...]]:
    """The ways to write an edit, the likeliest first; none where the word has no place of its own."""
    if edit.word.span is None:
        return
    start, stop = (at + shift for at in edit.word.span)
    if edit.word.is_entry:
        end = stop if edit.texts else _line_end(text, stop)
        yield (TextChange(start, end, _entry(edit.texts)),)
        return
    first, last = _with_quotes(text, start, stop)
    if not edit.texts:
        yield from ((change,) for change in _removals(text, first, last))
    elif len(edit.texts) == 1:
        yield (TextChange(start, stop, edit.texts[0]),)
    else:
        yield from ((change,) for change in _insertions(text, (start, stop), (first, last), edit.texts))


def _entry(texts: Sequence[str]) -> str:
    """``key`` or ``key = value``, as a preset has it."""
    return " = ".join((texts[0].lstrip("-"), *texts[1:])) if texts else ""


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    end = len(text) if end < 0 else end
    return end - text[at:end].endswith("\r")


def _with_quotes(text: str, start: int, stop: int) -> tuple[int, int]:
    quote = text[start - 1 : start]
    return (start - 1, stop + 1) if quote and quote in _QUOTES and text[stop : stop + 1] == quote else (start, stop)


def _line_before(text: str, at: int) -> str:
    return text[text.rfind("\n", 0, at) + 1 : at]


def _is_in_list(text: str, first: int, last: int) -> bool:
    """Whether commas stand between the words there."""
    return text[last:].lstrip()[:1] in {",", "]"} or text[:first].rstrip()[-1:] in {",", "["}


def _insertions(
    text: str, inner: tuple[int, int], outer: tuple[int, int], texts: Sequence[str]
) -> Iterator[TextChange]:
    quote = text[outer[0]] if outer != inner else '"'
    own = text[slice(*outer)]
    head = own.replace(text[slice(*inner)], texts[0], 1)
    before = _line_before(text, outer[0])
    others = [f"{quote}{item}{quote}" for item in texts[1:]]
    if _ITEM.fullmatch(before):
        yield TextChange(*outer, "\n".join((head, *(f"{before}{item}" for item in others))))
    near = text[max(0, outer[0] - 200) : outer[1] + 200]
    if _is_in_list(near, outer[0] - max(0, outer[0] - 200), outer[1] - max(0, outer[0] - 200)):
        yield TextChange(*outer, ", ".join((head, *others)))
    yield TextChange(*inner, " ".join(texts))
    if outer != inner:
        yield TextChange(*outer, " ".join((head, *texts[1:])))
        yield TextChange(*outer, " ".join((head, *others)))


def _removals(text: str, first: int, last: int) -> Iterator[TextChange]:
    before = _line_before(text, first)
    if not before.strip() or _ITEM.fullmatch(before):
        yield TextChange(first, last, "")
    after = re.compile(r"\s*,[ \t]*").match(text, last)
    if after:
        yield TextChange(first, after.end(), "")
    earlier = re.compile(r",\s*$").search(text[max(0, first - 200) : first])
    if earlier and text[last:].lstrip()[:1] in {"]", ")"}:
        yield TextChange(max(0, first - 200) + earlier.start(), last, "")
    yield TextChange(first - len(before) + len(before.rstrip(" \t")) if before.strip() else first, last, "")


def changed(text: str, changes: Iterable[TextChange]) -> str | None:
    """``text`` with all ``changes``, lines that hold nothing any more left out; None where two are about one place."""
    parts: list[str] = []
    at = 0
    emptied: list[int] = []
    for change in sorted(set(changes)):
        if change.stop <= at and not change.new and parts:
            continue
        if change.start < at:
            return None
        parts += [text[at : change.start], change.new]
        at = change.stop
        if not change.new:
            emptied.append(sum(map(len, parts)))
    found = "".join((*parts, text[at:]))
    return _without_empty(text, found, emptied) if emptied else found


def _without_empty(before: str, text: str, places: Sequence[int]) -> str:
    """``text`` without the lines that lost their last word, and without the backslash that led there."""
    numbers = {text.count("\n", 0, at) for at in places}
    lines = lines_of(text)
    kept: list[str] = []
    for number, line in enumerate(lines):
        if number in numbers and _EMPTY.fullmatch(line) and "\n" in before:
            goes_on = line.rstrip().endswith(("\\", "^", "`"))
            if kept and not goes_on and _CONTINUED.search(kept[-1]):
                kept[-1] = _CONTINUED.sub("", kept[-1])
            continue
        kept.append(line)
    return "".join(kept)

"""Commands of programs around llama-server as llama-server's own, as far as memory goes (``data/tools.toml``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from omniplan.documents.frozen import FrozenMapping
from omniplan.documents.source import read_table
from omniplan.formats.command import Command, Word
from omniplan.llamacpp.flags.table import FlagRow, ValueKind, spellings

_FILE: Final = "tools.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRow:
    """One program, as the head of the table explains it."""

    source: str
    keeps: tuple[str, ...] = ()
    defaults: tuple[str, ...] = ()
    opens: tuple[str, ...] = ()
    flags: Mapping[str, str] = FrozenMapping()
    values: Mapping[str, Mapping[str, str]] = FrozenMapping()
    switches: Mapping[str, tuple[str, ...]] = FrozenMapping()


@cache
def _rows() -> Mapping[str, ToolRow]:
    return read_table(_FILE, dict[str, ToolRow])


def as_server(command: Command) -> Command:
    """``command`` as llama-server would be given it; llama-server's own is as it is."""
    row = _rows().get(command.tool)
    if row is None:
        return command
    words = list(_words(row, command))
    given = {word.text for word in words}
    opened = [flag for flag in row.opens if flag not in given]
    defaults = [Word(text=text, line=command.line) for text in row.defaults]
    unknown = [Word(text=text, line=command.line, is_open=True) for flag in opened for text in (flag, "?")]
    return replace(command, words=(*defaults, *unknown, *words))


def _words(row: ToolRow, command: Command) -> Iterator[Word]:
    at = 0
    while at < len(command.words):
        flag = command.words[at]
        values = _values(command.words[at + 1 :])
        size = _size(_flag_row(flag.text), values, row)
        yield from _kept(row, flag, values[:size] if flag.text not in row.flags else values)
        at += 1 + (size if flag.text not in row.flags else len(values))


def _flag_row(text: str) -> FlagRow | None:
    return spellings().get(text.replace("_", "-") if text.startswith("--") else text)


def _values(words: tuple[Word, ...]) -> tuple[Word, ...]:
    """The words up to the next flag; a number below 0 is a value."""
    for at, word in enumerate(words):
        if word.text.startswith("-") and not word.text[1:2].isdigit():
            return words[:at]
    return words


def _size(found: FlagRow | None, values: tuple[Word, ...], row: ToolRow) -> int:
    """How many of ``values`` belong to a flag."""
    if found is None or (row.keeps and found.key not in row.keeps):
        return len(values)
    return min(len(values), {ValueKind.NONE: 0, ValueKind.PAIR: 2}.get(found.kind, 1))


def _kept(row: ToolRow, flag: Word, values: tuple[Word, ...]) -> Iterator[Word]:
    """A flag and its values as llama-server's, nothing for one that has no part in memory."""
    if flag.text in row.switches:
        yield from (replace(flag, text=text, span=None) for text in row.switches[flag.text])
    elif flag.text in row.flags:
        names = row.values.get(flag.text, {})
        text = ",".join(names.get(value.text, value.text) for value in values)
        yield replace(flag, text=row.flags[flag.text], span=None)
        yield replace(values[0] if values else flag, text=text, span=None)
    else:
        found = _flag_row(flag.text)
        is_list = any("," in value.text for value in values) and found is not None and found.kind is not ValueKind.LIST
        if found is not None and (not row.keeps or found.key in row.keeps):
            yield flag
            # llama-bench takes several values to try: which one is not known.
            yield from (replace(value, is_open=value.is_open or (bool(row.keeps) and is_list)) for value in values)

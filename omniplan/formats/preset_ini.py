"""llama.cpp's router preset (``--models-preset``): an INI file by the grammar of common/preset.cpp (b11434).

A value ends before white space and ``;`` or ``#``, wherever they stand, and is not quoted. A section written twice
counts once, from its last header on; entries before the first header belong to ``default``; ``[*]`` is for all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from omniplan.documents.text_file import lines_of
from omniplan.errors import ArgumentError, InputError
from omniplan.formats import sections
from omniplan.formats.command import Command, Word
from omniplan.formats.contents import Contents
from omniplan.formats.format import Format, Options
from omniplan.formats.launch import Launch, commented, printable, rationale
from omniplan.formats.traced import Source
from omniplan.llamacpp.flags.args import Flag
from omniplan.llamacpp.flags.args import parse as parse_args
from omniplan.llamacpp.flags.dialect import spoken
from omniplan.llamacpp.flags.table import FlagRow, ValueKind, load_flags

DEFAULT: Final = "default"
GLOBAL: Final = "*"

_END: Final = r"[ \t]*+(?:[;#][^\r\n]*+)?(?:\r\n|\n|\r|\Z)"
_HEADER: Final = re.compile(rf"\[[ \t]*+([^\]]++)[ \t]*+\]{_END}")
_ENTRY: Final = re.compile(
    rf"([a-zA-Z_][a-zA-Z0-9_.-]*+)[ \t]*+=[ \t]*+((?:(?![ \t]*(?:[;#\r\n]|\Z)).)*+){_END}", re.DOTALL
)
_NOTHING: Final = re.compile(_END)

# Keys of a preset that are no arguments of llama-server (common/arg.cpp: common_params_add_preset_options).
_PRESET_ONLY: Final = frozenset({"version", "load-on-startup", "stop-timeout", "dedup-cache-models"})
_FALSE: Final = frozenset({"off", "disabled", "false", "0"})
_TRUE: Final = frozenset({"on", "enabled", "true", "1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One preset as written: entries are key and value, ``line``, ``last_line`` and ``comments`` its place."""

    id: str
    line: int
    last_line: int
    entries: tuple[tuple[Word, Word], ...]
    comments: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetFile:
    """A whole preset file: ``text`` is what was read, byte for byte."""

    text: str
    sections: tuple[Preset, ...]

    def put(self, id: str, text: str) -> PresetFile:
        """The document with ``text`` as its section ``id``, in the place of the old one or at the end."""
        return parse(
            sections.put(self.text, [section for section in sections.named(self.sections, id) if section.line], text)
        )


def parse(text: str, *, where: str = "preset") -> PresetFile:
    """The document that ``text`` is; raises InputError with the line on which llama.cpp would give up."""
    found: list[Preset] = [Preset(id=DEFAULT, line=0, last_line=0, entries=())]
    entries: list[list[tuple[Word, Word]]] = [[]]
    lines = [line.strip() for line in lines_of(text)]
    at, line = 0, 1
    while at < len(text):
        if header := _HEADER.match(text, at):
            comments = sections.comments_above(lines, line - 1, ";#")
            found.append(Preset(id=header[1], line=line, last_line=line, entries=(), comments=comments))
            entries.append([])
        elif entry := _ENTRY.match(text, at):
            words = (
                Word(text=entry[1], line=line, span=entry.span(1)),
                Word(text=entry[2], line=line, span=entry.span(2)),
            )
            entries[-1].append(words)
            found[-1] = replace(found[-1], last_line=line)
        elif not _NOTHING.match(text, at):
            raise InputError(f"{where}: line {line}: expected [section], key = value or a comment")
        end = next(match.end() for shape in _SHAPES if (match := shape.match(text, at)))
        line += text.count("\n", at, end)
        at = end
    whole = (replace(section, entries=tuple(own)) for section, own in zip(found, entries, strict=True))
    return PresetFile(text=text, sections=tuple(section for section in whole if section.line or section.entries))


_SHAPES: Final = (_HEADER, _ENTRY, _NOTHING)


def commands(text: str, *, where: str = "preset") -> tuple[Command, ...]:
    """llama-server's command for every preset but ``[*]``, whose options each of them starts from."""
    found = {section.id: section for section in parse(text, where=where).sections}
    shared = found.pop(GLOBAL, None)
    return tuple(
        Command(name=name, line=max(1, section.line), words=tuple(_words(_options(shared, section))))
        for name, section in found.items()
        if name != DEFAULT or _options(section)
    )


def read(source: Source, *, where: str = "preset") -> Contents:
    """The same of a text that stands somewhere in a file."""
    found = commands(source.text, where=where)
    if source.is_file:
        return Contents(found)
    return Contents(
        tuple(
            replace(item, line=source.line(0) + item.line - 1, words=tuple(source.moved(word) for word in item.words))
            for item in found
        )
    )


def is_preset(text: str) -> bool:
    """Whether a file in the form of one has a key of llama-server; other programs' files have none."""
    try:
        sections_found = parse(text).sections
    except InputError:
        return False
    return any(
        key.text in keys() or key.text in _PRESET_ONLY for section in sections_found for key, _ in section.entries
    )


_Chosen = dict[str, tuple[Word, Word]]


def _options(*layers: Preset | None) -> _Chosen:
    """Key as written and value by the option it sets; a later one takes the place of an earlier one.

    llama.cpp sorts a section's keys: of two spellings of one option, the last by alphabet counts, not by line.
    """
    options: _Chosen = {}
    for section in filter(None, layers):
        last = {key.text: (key, word) for key, word in section.entries}
        for name, (key, word) in sorted(last.items()):
            if name not in _PRESET_ONLY:
                row = keys().get(name)
                options[row.key if row else name] = (key, word)
    return options


@cache
def keys() -> Mapping[str, FlagRow]:
    """Rows by everything a preset may call them: their spellings without dashes, and their variables.

    Presets for older builds have options that are removed since.
    """
    rows = sorted(load_flags(), key=lambda row: not row.is_removed)
    named = {name.lstrip("-"): row for row in rows for name in row.spellings}
    return named | {name: row for row in rows for name in (row.env, row.negative_env) if name}


def _words(options: _Chosen) -> Iterator[Word]:
    for name, (key, word) in sorted(options.items(), key=_applied):
        row = keys().get(key.text)
        texts = [f"--{name}", word.text] if row is None else _argument(row, key.text, word.text)
        # A flag without a value is the whole entry.
        start, stop = (key.span or (0, 0))[0], ((word if len(texts) == 1 else key).span or (0, 0))[1]
        for at, text in enumerate(texts):
            yield replace(word, text=text) if at else replace(key, text=text, span=(start, stop), is_entry=True)


def _applied(option: tuple[str, tuple[Word, Word]]) -> bytes:
    """llama.cpp keeps options in the order of their first spellings (arg.h: ``operator<``)."""
    row = keys().get(option[1][0].text)
    return (row.names[0] if row else option[0]).encode("utf-8", "surrogateescape")


def _argument(row: FlagRow, key: str, value: str) -> Sequence[str]:
    """What the router puts on the child's command line (preset.cpp: ``parse_bool_arg``, ``to_args``)."""
    if row.kind is not ValueKind.NONE:
        return (row.names[-1], value)
    if row.negated and any(name.lstrip("-") == key for name in row.negated):
        value = "false" if value in _TRUE else "true"
    if value not in _FALSE:
        return (row.names[-1],)
    return row.negated[-1:]


# Flags of which every one counts: a preset has each key once, so their lists become one.
_JOINED: Final = frozenset({"override-tensor", "override-kv", "spec-draft-override-tensor"})


def section(item: Launch) -> str:
    """One preset with its comments."""
    entries: dict[str, str] = {"model": item.model}
    for flag in item.flags:
        key, value = _entry(flag)
        known = entries.get(key)
        entries[key] = f"{known},{value}" if known is not None and flag.row.key in _JOINED else value
    lines = (f"{key} = {value}" for key, value in entries.items())
    return "\n".join((*commented([*rationale(item), *_environment(item)]), f"[{item.id}]", *lines, ""))


def _entry(flag: Flag) -> tuple[str, str]:
    if flag.row.kind is ValueKind.PAIR:
        raise InputError(
            f"preset: {flag.name}: llama.cpp takes no flag with two values from a preset; use the format shell"
        )
    if flag.row.kind is not ValueKind.NONE:
        return flag.row.names[-1].lstrip("-"), "".join(flag.values)
    return flag.row.names[-1].lstrip("-"), "false" if flag.name in flag.row.negated else "true"


def _environment(item: Launch) -> Iterator[str]:
    if item.environment:
        yield "a preset has no variables: start the router itself in the environment above"


def prepare(item: Launch, options: Options) -> Launch:
    """The launch, unless its build knows no presets or its path ends a line."""
    del options
    if "\n" in item.model or "\r" in item.model:
        raise InputError(f"preset: model {printable(item.model)}: a value ends with its line; use the format shell")
    spoken(("--models-preset", "FILE"), item.build)
    return item


def write(items: Sequence[Launch], options: Options) -> str:
    """A file of presets."""
    del options
    return "version = 1\n\n" + "\n".join(section(item) for item in items)


def put(text: str, item: Launch, options: Options) -> str:
    """``text`` with the preset in the place of the one with its name, or at the end.

    Keys of the old one that say nothing about memory, such as sampling, stay. So does ``[*]``: what it would change of
    the plan is set back in the preset, or raises InputError with its line.
    """
    del options
    before = parse(text)
    own = section(item)
    new = _options(parse(own).sections[-1])
    old = [part for part in before.sections if part.id == item.id]
    kept = _options(*old) if len(old) == 1 else {}
    lines = [
        f"{key.text} = {word.text}" for name, (key, word) in kept.items() if name not in new and _is_free(key, word)
    ]
    shared = next((part for part in before.sections if part.id == GLOBAL), None)
    lines += [_set_back(*pair) for name, pair in _options(shared).items() if name not in new and not _is_free(*pair)]
    return before.put(item.id, "\n".join((own.rstrip("\n"), *lines, ""))).text


def _set_back(key: Word, word: Word) -> str:
    """The entry that gives an option of ``[*]`` its default again."""
    row = keys().get(key.text)
    usual = None if row is None else "false" if row.kind is ValueKind.NONE and not row.negated else row.default
    if usual is None or isinstance(usual, bool):
        raise InputError(
            f"preset: line {key.line}: {key.text} = {word.text} in [*] would change the plan; "
            f"move it to the sections that need it"
        )
    return f"{key.text} = {usual}"


def _is_free(key: Word, value: Word) -> bool:
    """Whether an option has no part in what a plan decides."""
    row = keys().get(key.text)
    try:
        params = parse_args([] if row is None else _argument(row, key.text, value.text))
    except ArgumentError:
        return False
    return row is not None and replace(params, extra=()) == parse_args([])


def _own(text: str) -> tuple[Command, ...]:
    """Commands of the presets by themselves: what ``[*]`` adds was looked at when they were put beside it."""
    return tuple(
        Command(name=part.id, line=max(1, part.line), words=tuple(_words(_planned(part))))
        for part in parse(text).sections
        if part.id != GLOBAL and (part.id != DEFAULT or _options(part))
    )


def _planned(part: Preset) -> _Chosen:
    return {name: pair for name, pair in _options(part).items() if not _is_free(*pair)}


FORMAT: Final = Format(
    name="preset",
    ids=re.compile(r"[a-zA-Z0-9_./:-]+"),
    write=write,
    read=_own,
    prepare=prepare,
    put=put,
    is_exact=False,
    carries_environment=False,
)

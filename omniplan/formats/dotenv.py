"""``.env`` files: variables of llama-server (``LLAMA_ARG_*``) or of the start script around ``models.conf``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from omniplan.documents.text_file import lines_of
from omniplan.errors import InputError
from omniplan.formats import wrapper
from omniplan.formats.command import Command, Word
from omniplan.formats.contents import Contents
from omniplan.formats.format import Format, Options, only
from omniplan.formats.launch import Launch, commented, printable, rationale
from omniplan.formats.traced import Source, Traced
from omniplan.llamacpp.flags.args import Flag, read_flags
from omniplan.llamacpp.flags.table import CHECKED, ValueKind

_LINE: Final = re.compile(
    r"""\s*(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_.]*)\s*=[ \t]*
    (?:'(?P<single>[^']*)'|"(?P<double>(?:\\.|[^"\\])*)"|(?P<plain>.*?))
    \s*(?:(?<=\s)\#.*)?\s*""",
    re.VERBOSE,
)
_ESCAPE: Final = re.compile(r"\\(.)")
_REFERENCE: Final = re.compile(r"\$\{?[A-Za-z_]\w*(?::?[-+?][^}]*)?\}?")
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t"}


def parse(text: str) -> tuple[tuple[str, Word], ...]:
    """Variables in file order with their lines, quotes taken off, references to other variables left as written."""
    return tuple(read_variables(Source(text)))


def read_variables(source: Source) -> Iterator[tuple[str, Word]]:
    """The same of a text that stands somewhere in a file."""
    at = 0
    for number, line in enumerate(lines_of(source.text), start=1):
        if not line.lstrip().startswith("#") and (match := _LINE.fullmatch(line)):
            kind = next(kind for kind in ("single", "double", "plain") if match[kind] is not None)
            value = source.span(at + match.start(kind), at + match.end(kind))
            if kind == "double":
                value = value.replaced(_ESCAPE, partial(_escaped, value))
            yield match["name"], source.word(value if kind == "single" else value.marked(_REFERENCE), line=number)
        at += len(line)


def _escaped(value: Traced, escape: re.Match[str]) -> Traced:
    return value.slice(*escape.span()).saying(_ESCAPES.get(escape[1], escape[1]))


def commands(text: str) -> tuple[Command, ...]:
    """The one command that the file configures: the start script's, or llama-server's own with nothing but it."""
    return read(Source(text)).commands


def read(source: Source) -> Contents:
    """The same of a text that stands somewhere in a file."""
    return Contents(_commands(tuple(read_variables(source))))


def _commands(variables: tuple[tuple[str, Word], ...]) -> tuple[Command, ...]:
    named = dict(variables)
    if wrapper.is_wrapper_env(named):
        return (wrapper.variables_command(named),)
    return (Command(name="", line=1, words=(), environment=variables),) if variables else ()


_BARE: Final = re.compile(r"[A-Za-z0-9_./,:=@%+-]+")
_BATCH: Final = "threads-batch"
_THREADS: Final = ("threads", _BATCH)
_JOINED: Final = frozenset({"override-tensor", "override-kv"})


def _write(items: Sequence[Launch], options: Options) -> str:
    del options
    item = only(items, "env: the file")
    values = {"LLAMA_ARG_MODEL": item.model, **_variables(item), **item.environment}
    return "\n".join((*commented(rationale(item)), *(f"{name}={_quoted(value)}" for name, value in values.items()), ""))


def _variables(item: Launch) -> dict[str, str]:
    values: dict[str, str] = {}
    for flag in item.flags:
        name, value = _variable(flag)
        joined = name in values and flag.row.key in _JOINED
        values[name] = f"{values[name]},{value}" if joined else value
    return values


def _variable(flag: Flag) -> tuple[str, str]:
    row = flag.row
    if not row.env:
        raise InputError(f".env: {flag.name}: llama-server has no variable for it; use the format shell")
    if row.kind is not ValueKind.NONE:
        return row.env, " ".join(flag.values)
    return (row.negative_env, "1") if flag.name in row.negated else (row.env, "1")


def _quoted(value: str) -> str:
    if _BARE.fullmatch(value):
        return value
    if "'" in value or "\n" in value or "\r" in value:
        raise InputError(
            f".env: {printable(value)}: its readers agree on no way to write a quote or a line's end; "
            f"use the format shell"
        )
    return f"'{value}'"


def _prepare(item: Launch, options: Options) -> Launch:
    """The launch without a ``-tb`` that says what ``-t`` says: llama.cpp takes it over, and has no variable for it."""
    del options
    if item.build.number < CHECKED:
        raise InputError(
            f".env: variables are known from b{CHECKED} on, not of {item.build.name}; use the format shell"
        )
    threads = {flag.row.key: flag.values for flag in item.flags if flag.row.key in _THREADS}
    if len(set(map(threads.get, _THREADS))) > 1:
        return item
    return item.with_args(*(arg for flag in read_flags(item.args) if flag.row.key != _BATCH for arg in flag.args))


FORMAT: Final = Format(name="env", write=_write, read=commands, prepare=_prepare, is_exact=False)

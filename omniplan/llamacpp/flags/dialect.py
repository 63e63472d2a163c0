"""How one build of llama.cpp spells a command line: what it lacks said in its own words, or refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from omniplan.errors import ArgumentError, InputError
from omniplan.llamacpp.flags.args import Flag, read_flags
from omniplan.llamacpp.flags.table import CHECKED, FlagRow, spellings

_BUILD: Final = re.compile(r"b?(\d{3,6})")


def build_number(text: str) -> int:
    """The number of a build such as ``b8022``; raises InputError for anything else."""
    match = _BUILD.fullmatch(text)
    if not match:
        raise InputError(f"llama.cpp build {text!r}: expected a release such as b8022")
    return int(match[1])


def spoken(args: Sequence[str], build: int) -> tuple[Flag, ...]:
    """The flags that make llama.cpp ``build`` do what ``args`` make b11434 do.

    A flag that the build lacks is replaced where it has another way to say it, and dropped where it does so by
    itself; else an ``ArgumentError`` names the alternative. So does a build of which nothing is known.
    """
    return tuple(flag for written in read_flags(args) for flag in _spoken(written, build))


def takes(args: Sequence[str], build: int) -> bool:
    """Whether the build is known to take ``args`` as they are."""
    try:
        return tuple(arg for flag in spoken(args, build) for arg in flag.args) == tuple(args)
    except ArgumentError:
        return False


def _spoken(flag: Flag, build: int) -> Iterator[Flag]:
    row = flag.row
    if row.until is not None and build >= row.until:
        raise ArgumentError(flag.name, f"b{row.until} and later refuse it", remedy=f"use {row.instead}")
    if build >= row.since:
        yield flag
        return
    value = " ".join(flag.values)
    if row.lacks is None or build > row.lacks:
        raise ArgumentError(flag.name, _unknown(row, build), remedy=_remedy(row))
    if value not in row.before:
        shown = f"{flag.name} {value}".strip()
        raise ArgumentError(shown, f"b{build} lacks it, known from b{row.since} on", remedy=_remedy(row))
    for name in row.before[value].split():
        yield Flag(row=spellings()[name], name=name)


def _unknown(row: FlagRow, build: int) -> str:
    last = f"b{row.lacks} lacks it, " if row.lacks else ""
    return f"not known whether b{build} has it: {last}b{row.since} has it"


def _remedy(row: FlagRow) -> str:
    newer = f"--llama-cpp b{max(row.since, CHECKED) if row.lacks is None else row.since} or newer"
    return f"{row.without}, or write for {newer}" if row.without else f"write for {newer}"

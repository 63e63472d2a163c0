"""How one build of llama.cpp spells a command line: what it lacks said in its own words, or refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from omniplan.errors import ArgumentError
from omniplan.llamacpp.build import Build
from omniplan.llamacpp.flags.args import Flag, read_flags
from omniplan.llamacpp.flags.table import CHECKED, FlagRow, spellings


def spoken(args: Sequence[str], build: Build) -> tuple[Flag, ...]:
    """The flags that make ``build`` do what ``args`` make the default build do.

    A flag that the build lacks is replaced where it has another way to say it, and dropped where it does so by
    itself; else an ``ArgumentError`` names the alternative. So does a build of which nothing is known.
    """
    return tuple(flag for written in read_flags(args) for flag in _spoken(written, build))


def takes(args: Sequence[str], build: Build) -> bool:
    """Whether the build is known to take ``args`` as they are."""
    try:
        return tuple(arg for flag in spoken(args, build) for arg in flag.args) == tuple(args)
    except ArgumentError:
        return False


def _spoken(flag: Flag, build: Build) -> Iterator[Flag]:
    row = flag.row
    if row.until is not None and build.number >= row.until:
        raise ArgumentError(flag.name, f"b{row.until} and later refuse it", remedy=f"use {row.instead}")
    if build.number >= row.since:
        yield flag
        return
    value = " ".join(flag.values)
    if row.lacks is None or build.number > row.lacks:
        raise ArgumentError(flag.name, _unknown(row, build), remedy=_remedy(row))
    if value not in row.before:
        shown = f"{flag.name} {value}".strip()
        raise ArgumentError(shown, f"{build.name} lacks it, known from b{row.since} on", remedy=_remedy(row))
    for name in row.before[value].split():
        yield Flag(row=spellings()[name], name=name)


def _unknown(row: FlagRow, build: Build) -> str:
    last = f"b{row.lacks} lacks it, " if row.lacks else ""
    return f"not known whether {build.name} has it: {last}b{row.since} has it"


def _remedy(row: FlagRow) -> str:
    newer = f"b{max(row.since, CHECKED) if row.lacks is None else row.since} or newer"
    return f"{row.without}, or write for {newer}" if row.without else f"write for {newer}"

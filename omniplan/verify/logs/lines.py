"""Lines of a log as they come: any size, any line end, colours and wrappers taken off, each with its number."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

_CHUNK: Final = 1 << 20
# No line that states a fact is longer; the rest of a longer one is dropped.
LONGEST: Final = 16384
_MARKS: Final = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_COLOUR: Final = re.compile(r"\x1b?\[(?:\d{1,3}(?:;\d{1,3}){0,4})?[mK]")
# The keys of a line's text: Docker, journald, llama.cpp's --log-jsonl and --log-format json.
_TEXTS: Final = ("msg", "log", "message", "MESSAGE", "text", "line", "body")
_PROCESSES: Final = ("pid", "_PID", "container_name", "container")
# What may stand before a process number in brackets: grep's line numbers, quotes, dates, times, levels.
_BEFORE: Final = r"^(?:[\s>|]|\d{1,9}[:\-]\s?|[\d:.,\-TZ+/]{4,40}\s|[DIWE]\s|[A-Z][a-z]{2}\s{1,2}\d{1,2}\s){0,12}"
_BRACKETS: Final = r"\[ {0,6}(?P<number>\d{2,9}|[A-Za-z][\w.\-]{0,40}\d[\w.\-]{0,8})\]\s"
_PROCESS: Final = re.compile(
    rf"{_BEFORE}(?:{_BRACKETS}|(?P<service>[\w.\-]{{1,60}})\s{{1,40}}\|\s"
    rf"|[\w.\-]{{1,60}}\s[\w.\-@]{{1,60}}\[(?P<unit>\d{{1,9}})\]:\s)"
)


def numbered(stream: BinaryIO) -> Iterator[tuple[int, str]]:
    """Every line with its number from 1, in pieces of bounded size; what is not UTF-8 is replaced."""
    number, rest = 0, b""
    for chunk in _chunks(stream):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            number += 1
            yield number, _decoded(line)
        # Only the head of a line that never ends is kept.
        rest = rest[:LONGEST]
    if rest:
        yield number + 1, _decoded(rest)


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    """The stream in pieces, as UTF-8 where PowerShell redirected it into UTF-16."""
    chunk = stream.read(_CHUNK)
    wide = next((name for mark, name in _MARKS.items() if chunk.startswith(mark)), "")
    decode = codecs.getincrementaldecoder(wide)("replace").decode if wide else None
    while chunk:
        yield chunk if decode is None else decode(chunk).encode()
        chunk = stream.read(_CHUNK)


def _decoded(line: bytes) -> str:
    return line[:LONGEST].decode("utf-8", "replace").rstrip("\r")


def plain(text: str) -> str:
    """``text`` without colours."""
    return _COLOUR.sub("", text) if "\x1b" in text or "[" in text else text


def process_of(text: str) -> str:
    """The process that wrote a line (``[1234] ...``, ``server-1  | ...``, ``unit[12]: ...``), "" where unnamed."""
    found = _PROCESS.match(text) if "[" in text or " | " in text else None
    return "" if found is None else next(value for value in found.groups() if value is not None)


def unwrapped(text: str) -> Iterable[tuple[str, str]]:
    """Process and text of what a JSON line holds; the line itself where it is not one object."""
    row = _object(text) if text.startswith("{") else None
    return ((process_of(text), text),) if row is None else _texts(row)


def _texts(row: dict[str, object]) -> Iterator[tuple[str, str]]:
    process = next((str(row[key]) for key in _PROCESSES if isinstance(row.get(key), str | int)), "")
    words = next((value for key in _TEXTS if isinstance(value := row.get(key), str)), "")
    yield from ((process or process_of(line), line) for line in words.splitlines())
    yield from ((process, line) for line in _spread(row))


def _object(text: str) -> dict[str, object] | None:
    try:
        row = json.loads(text.rstrip(", "))
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _spread(row: dict[str, object]) -> Iterator[str]:
    """What a JSON line says in fields of its own, as the lines that say it in text."""
    if "build" in row and "commit" in row:
        yield f"build: {row['build']} ({row['commit']})"
    if "avg_ts" in row:
        yield json.dumps(row)
    if row.get("type") == "fit_memory_breakdown":
        yield "| memory breakdown [MiB] |"
        data = row.get("data")
        table = data if isinstance(data, dict) else row
        rows = table.get("rows")
        for item in rows if isinstance(rows, Iterable) else ():
            if isinstance(item, dict):
                yield _breakdown(item)


def _breakdown(item: dict[str, object]) -> str:
    own = " + ".join(f" {item.get(key)}" for key in ("model", "context", "compute"))
    if item.get("kind") != "device":
        return f"|   - {item.get('name')}  |  {item.get('self')} = {own}  |"
    head = f"|   - {item.get('name')} ({item.get('description')}) | {item.get('total')} = {item.get('free')}"
    return f"{head} + ({item.get('self')} = {own}) +  {item.get('unaccounted')} |"

"""supervisord's programs and launchd's jobs."""

from __future__ import annotations

import plistlib
import re
from collections.abc import Iterator
from configparser import ConfigParser, Error
from typing import Final
from xml.parsers.expat import ExpatError
from xml.sax.saxutils import escape

from omniplan.errors import InputError
from omniplan.formats.contents import Contents, together
from omniplan.formats.programs import Settings
from omniplan.formats.starts import starts
from omniplan.formats.traced import Source, Traced
from omniplan.formats.words import traced_words

_PROGRAM: Final = "program:"
_EXPANDED: Final = re.compile(r"%\([\w-]+\)\w?")
_COMMENT: Final = re.compile(r"\s;[^\n]*")
_PAIR: Final = re.compile(r"""(\w+)=(?:"([^"]*)"|'([^']*)'|([^,]*))""")


def read_supervisor(source: Source, *, where: str = "supervisord.conf") -> Contents:
    """What each ``[program:NAME]`` starts; ``%(...)s`` is open."""
    parser = ConfigParser(interpolation=None, strict=False, comment_prefixes=("#", ";"), inline_comment_prefixes=None)
    try:
        parser.read_string(source.text)
    except Error as error:
        raise InputError(f"{where}: {str(error).splitlines()[0]}") from error
    return together(_program(source, parser, name) for name in parser.sections() if name.startswith(_PROGRAM))


def _program(source: Source, parser: ConfigParser, section: str) -> Contents:
    begin = source.text.find(f"[{section}]")
    end = source.text.find("\n[", begin + 1)
    end = len(source.text) if end < 0 else end
    values = {
        key: _value(source, key, parser[section][key], begin, end)
        for key in ("command", "environment")
        if key in parser[section]
    }
    if "command" not in values:
        return Contents()
    command = values["command"].replaced(_COMMENT, lambda _: Traced()).marked(_EXPANDED)
    env = tuple(_environment(values["environment"])) if "environment" in values else ()
    line = source.line_of(command)
    return starts(source, list(traced_words(command)), env=env, name=section.removeprefix(_PROGRAM), line=line)


def _value(source: Source, key: str, value: str, begin: int, end: int) -> Traced:
    match = re.compile(rf"^{key}\s*[=:]", re.MULTILINE).search(source.text, begin, end)
    return source.aligned(value, match.end() if match else begin, end)


def _environment(text: Traced) -> Iterator[tuple[str, Traced]]:
    for match in _PAIR.finditer(text.text):
        group = next(group for group in (2, 3, 4) if match[group] is not None)
        yield match[1], text.slice(*match.span(group)).marked(_EXPANDED)


def read_plist(source: Source, *, where: str = "plist") -> Contents:
    """What a job of launchd starts: ``ProgramArguments`` with ``EnvironmentVariables``."""
    try:
        job = plistlib.loads(source.text.encode("utf-8", "replace"), fmt=plistlib.FMT_XML)
    except (plistlib.InvalidFileException, ExpatError, ValueError, TypeError, RecursionError, LookupError) as error:
        raise InputError(f"{where}: not a property list: {error}") from error
    words = job.get("ProgramArguments") if isinstance(job, dict) else None
    if not isinstance(words, list):
        return Contents()
    given = job.get("EnvironmentVariables")
    at = source.text.find("ProgramArguments")
    argv = list(_strings(source, [str(word) for word in words], at))
    env: Settings = ()
    if isinstance(given, dict):
        values = _strings(source, [str(value) for value in given.values()], source.text.find("EnvironmentVariables"))
        env = tuple(zip(map(str, given), values, strict=True))
    return starts(source, argv, env=env, name=str(job.get("Label", "")), line=source.line(at))


def _strings(source: Source, values: list[str], at: int) -> Iterator[Traced]:
    """Where each of ``values`` stands, one behind the other."""
    for value in values:
        found = source.text.find(f">{escape(value)}<", at)
        at = found + 1 if found >= 0 else at
        yield source.aligned(value, at, at + len(escape(value)))

"""``.env`` files: variables of llama-server (``LLAMA_ARG_*``) or of the start script around ``models.conf``."""

from __future__ import annotations

import re
from typing import Final

from omniplan.codec import wrapper
from omniplan.codec.command import Command, Word, lines_of

_LINE: Final = re.compile(
    r"""\s*(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_.]*)\s*=[ \t]*
    (?:'(?P<single>[^']*)'|"(?P<double>(?:\\.|[^"\\])*)"|(?P<plain>.*?))
    \s*(?:(?<=\s)\#.*)?\s*""",
    re.VERBOSE,
)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t"}


def parse(text: str) -> tuple[tuple[str, Word], ...]:
    """Variables in file order with their lines, quotes taken off, references to other variables left as written."""
    found = []
    for number, line in enumerate(lines_of(text), start=1):
        if not line.lstrip().startswith("#") and (match := _LINE.fullmatch(line)):
            found.append((match["name"], Word(text=_value(match), line=number)))
    return tuple(found)


def _value(match: re.Match[str]) -> str:
    if match["double"] is not None:
        return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), match["double"])
    return match["single"] if match["single"] is not None else match["plain"]


def commands(text: str) -> tuple[Command, ...]:
    """The one command that the file configures: the start script's, or llama-server's own with nothing but it."""
    variables = parse(text)
    named = dict(variables)
    if wrapper.is_wrapper_env(named):
        return (wrapper.variables_command(named),)
    return (Command(name="", line=1, words=(), environment=variables),) if variables else ()

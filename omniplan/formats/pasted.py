"""A command as it was pasted behind ``--``: launchers, assignments, quotes and all."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Final

from omniplan.errors import InputError
from omniplan.formats.command import Command
from omniplan.formats.shell.script import commands

_ASSIGNMENT: Final = re.compile(r"([A-Za-z_]\w*=)(.*)", re.ASCII | re.DOTALL)
_SHOWN: Final = 60


def is_pasted(words: Sequence[str]) -> bool:
    """Whether it is a whole command, rather than llama-server's arguments alone."""
    first = "" if isinstance(words, str) else next(iter(words), "-")
    return isinstance(first, str) and bool(first) and not first.startswith("-")


def script_of(words: Sequence[str]) -> str:
    """``words`` as a line for a shell; one word that holds blanks is such a line already."""
    if len(words) == 1 and " " in words[0].strip():
        return f"{words[0]}\n"
    return " ".join(map(_quoted, words)) + "\n"


def _quoted(word: str) -> str:
    found = _ASSIGNMENT.fullmatch(word)
    return found[1] + shlex.quote(found[2]) if found else shlex.quote(word)


def pasted(words: Sequence[str]) -> Command:
    """The one command of llama.cpp that ``words`` start; raises InputError where they start none, or several."""
    text = script_of(words)
    found = commands(text)
    if len(found) == 1:
        return found[0]
    shown = text.strip() if len(text) <= _SHOWN else f"{text[:_SHOWN].strip()}..."
    problem = f"starts llama.cpp {len(found)} times" if found else "starts no program of llama.cpp that is known"
    remedy = "paste one of its commands" if found else "paste a command that runs llama-server, or its arguments alone"
    raise InputError(f"-- {shown}: {problem}; {remedy}")

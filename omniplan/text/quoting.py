"""Words as a shell reads them: what has to be quoted, how a variable is set, and how lines join to one command."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from omniplan.system import Shell

# What PowerShell takes as it stands: its own operators, a comma and a full stop behind a dash are none of it.
_BARE: Final = re.compile(r"-{0,2}\w[\w-]*|\w[\w./\\:=+-]*", re.ASCII)
# PowerShell reads typographic quotation marks as plain ones (about_Quoting_Rules).
_SINGLE: Final = re.compile("(['\u2018-\u201b])")
_ACTIVE: Final = re.compile('([`$"\u201c-\u201e])')


@dataclass(frozen=True, slots=True, kw_only=True)
class Quoting:
    """One shell's own ways.

    ``word`` quotes an argument, ``part`` a piece of one that is longer than a line; a word in pieces stands between
    ``opening`` and ``closing``, with ``seam`` and a line's end after each but the last. ``assigned`` sets a variable,
    ``call`` runs a program that is quoted, and ``on`` ends a line that goes on.
    """

    word: Callable[[str], str]
    part: Callable[[str], str]
    assigned: Callable[[str, str], str]
    call: str
    on: str
    opening: str
    seam: str
    closing: str

    def before(self, argv: Sequence[str], environment: Mapping[str, str]) -> list[str]:
        """What stands before a program: its variables, and what runs it."""
        call = [self.call for program in argv[:1] if self.call and self.word(program) != program]
        return [*(self.assigned(name, value) for name, value in environment.items()), *call]


def posix_word(word: str) -> str:
    """``word`` quoted for a shell; what a terminal would obey stands as an escape that bash and zsh read."""
    if word.isprintable():
        return shlex.quote(word)
    raw = word.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + "".join(char if char.isprintable() else _escaped(char) for char in raw) + "'"


def _escaped(char: str) -> str:
    # Every byte by itself: a name on a disk may be no text at all.
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))


def _posix_assigned(name: str, value: str) -> str:
    return f"{name}={posix_word(value)}"


def _powershell_word(word: str) -> str:
    return word if _BARE.fullmatch(word) else _powershell_string(word)


def _powershell_string(word: str) -> str:
    """``word`` as a string; what a terminal would obey stands as a number, which every PowerShell reads."""
    if word.isprintable():
        return "'" + _SINGLE.sub(r"\1\1", word) + "'"
    raw = _ACTIVE.sub(r"`\1", word)
    return '"' + "".join(char if char.isprintable() else _numbered(char) for char in raw) + '"'


def _numbered(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"$([char]0x{units[at : at + 4]})" for at in range(0, len(units), 4))


def _powershell_assigned(name: str, value: str) -> str:
    return f"$env:{name}={_powershell_string(value)};"


QUOTING: Final = {
    Shell.POSIX: Quoting(
        word=posix_word,
        part=posix_word,
        assigned=_posix_assigned,
        call="",
        on=" \\",
        opening="",
        seam="\\",
        closing="",
    ),
    # A line ends behind a plus sign as well as behind a backtick, but only a plus sign joins two pieces of one word.
    Shell.POWERSHELL: Quoting(
        word=_powershell_word,
        part=_powershell_string,
        assigned=_powershell_assigned,
        call="&",
        on=" `",
        opening="(",
        seam=" +",
        closing=")",
    ),
}

"""What standard output can show: how wide it is, whether it has colours, and which characters."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final, TextIO

from omniplan import system
from omniplan.text.cells import Tones
from omniplan.text.layout import Look, laid_out
from omniplan.text.palette import palette
from omniplan.text.screen import Level, Screen

# Where nobody says how wide a line may be.
_WIDTH: Final = 80
# Nothing can be said in less.
_LEAST: Final = 40
_MORE: Final = {Level.ANSWER: "-v shows tables, -vv everything", Level.TABLES: "-vv shows everything", Level.ALL: ""}


def look(options: argparse.Namespace) -> Look:
    """How standard output wants a screen."""
    level = Level(min(options.verbose, Level.ALL))
    return Look(
        width=columns(os.environ, sys.stdout),
        level=level,
        has_signs=_has_signs(),
        is_terminal=sys.stdout.isatty(),
        more=_MORE[level],
    )


def columns(environment: Mapping[str, str], stream: TextIO) -> int:
    """Columns of ``stream``: COLUMNS, else the terminal's, else 80."""
    given = environment.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return max(_LEAST, int(given))
    try:
        return max(_LEAST, os.get_terminal_size(stream.fileno()).columns or _WIDTH)
    except (OSError, ValueError):
        return _WIDTH


def _has_signs() -> bool:
    """Whether the characters of bars can be written, and are those of a terminal that knows more than text."""
    try:
        "".join(row.sign for row in palette().values()).encode(sys.stdout.encoding or "utf-8")
    except (UnicodeError, LookupError):
        return False
    return os.environ.get("TERM") != "dumb" or not sys.stdout.isatty()


def has_colors(choice: str, environment: Mapping[str, str], *, is_terminal: bool) -> bool:
    """Whether to colour: as asked, else NO_COLOR and FORCE_COLOR, else on a terminal that can."""
    if choice != "auto":
        return choice == "always"
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    return is_terminal and environment.get("TERM") != "dumb" and system.has_escapes()


def rendered(screen: Screen, options: argparse.Namespace) -> str:
    """The screen as text for standard output, in colours where it has them, or for the file of -o."""
    lines = laid_out(screen, look(options))
    is_kept = getattr(options, "output", None) not in (None, "-")
    is_colored = not is_kept and has_colors(options.color, os.environ, is_terminal=sys.stdout.isatty())
    return _painted(lines, is_colored=is_colored)


def told(screen: Screen) -> str:
    """The screen as text for standard error."""
    is_terminal = sys.stderr.isatty()
    lines = laid_out(screen, Look(width=columns(os.environ, sys.stderr), is_terminal=is_terminal))
    return _painted(lines, is_colored=has_colors("auto", os.environ, is_terminal=is_terminal))


def _painted(lines: Sequence[Tones], *, is_colored: bool) -> str:
    """Lines as text, plain or with a terminal's codes, by rich, which knows what terminals can."""
    if not is_colored:
        return "\n".join("".join(item.text for item in line) for line in lines)
    from rich.console import Console
    from rich.text import Text

    console = Console(file=io.StringIO(), force_terminal=True, width=10_000, legacy_windows=False)
    names = {hue: row.terminal for hue, row in palette().items()}
    with console.capture() as captured:
        for line in lines:
            console.print(Text.assemble(*((item.text, names.get(item.hue, "")) for item in line)), soft_wrap=True)
    return captured.get().rstrip("\n")

"""What runs another command in front of it: the words of a command up to the program of llama.cpp that it comes to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from omniplan.formats.command import Tool
from omniplan.formats.programs import (
    Launched,
    LauncherRow,
    ProgramRow,
    Scripts,
    Settings,
    base_name,
    has_model,
    image_of,
    is_likely,
    is_named,
    is_other,
    launchers,
    program_of,
)
from omniplan.formats.traced import Traced, joined

_ASSIGNMENT: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")
# Shells, which are one launcher under many names.
_SHELL: Final = re.compile(r"(?:ba|da|z|k|a|fi)?sh")


def started(argv: Sequence[Traced], *, in_swap: bool = False) -> Launched | Scripts | None:
    """What a command starts, None where that is not llama.cpp.

    ``in_swap`` says that the command is one of a program that starts engines, so that a name nobody knows may be
    a renamed binary.
    """
    return _behind(tuple(argv), (), (), in_swap)


def _behind(
    argv: tuple[Traced, ...], prefix: tuple[Traced, ...], env: Settings, in_swap: bool
) -> Launched | Scripts | None:
    while argv and (match := _ASSIGNMENT.match(argv[0].text)):
        env = (*env, (match[1], argv[0].slice(match.end())))
        prefix, argv = (*prefix, argv[0]), argv[1:]
    if not argv:
        return None
    head, rest = argv[0], argv[1:]
    words = [word.text for word in rest]
    if row := program_of(head.text, words):
        return _start(row, head, rest, prefix, env)
    if found := _launcher(argv):
        row_of, size = found
        return _Run(row_of, argv[:size], argv[size:], prefix, env, in_swap).result()
    if _is_renamed(head, words, in_swap=in_swap):
        return Launched(program=head, tool=Tool.SERVER, words=rest, prefix=prefix, environment=env)
    return None


def _start(
    row: ProgramRow, head: Traced, rest: Sequence[Traced], prefix: tuple[Traced, ...], env: Settings
) -> Launched:
    words = tuple(rest[1:] if rest and rest[0].text in row.first else rest)
    return Launched(program=head, tool=row.tool, words=words, prefix=prefix, environment=env)


def _is_renamed(head: Traced, words: Sequence[str], *, in_swap: bool) -> bool:
    """Whether a name nobody knows is llama-server, by its arguments."""
    if is_other(base_name(head.text)):
        return False
    if in_swap:
        return has_model(words) or is_likely(words)
    return is_likely(words) and (head.is_open or is_named(head.text))


def _launcher(argv: Sequence[Traced]) -> tuple[LauncherRow, int] | None:
    """The launcher that a command begins with, and of how many words its name is."""
    names = [base_name(argv[0].text), *(word.text for word in argv[1:3])]
    table = launchers()
    for size in (3, 2, 1):
        row = table.get(" ".join(names[:size]))
        if row and (not row.runs or any(re.fullmatch(row.runs, word.text) for word in argv[size : size + 1])):
            return row, size
    return (table["sh"], 1) if _SHELL.fullmatch(names[0]) else None


class _Run:
    """One launcher with what follows it."""

    def __init__(
        self,
        row: LauncherRow,
        name: tuple[Traced, ...],
        rest: tuple[Traced, ...],
        prefix: tuple[Traced, ...],
        env: Settings,
        in_swap: bool,
    ) -> None:
        self._row, self._rest, self._in_swap = row, rest, in_swap
        self._prefix, self._env = (*prefix, *name), env
        self._script: Traced | None = None
        self._program: Traced | None = None
        self._refused = False

    def result(self) -> Launched | Scripts | None:
        """What it runs."""
        at = self._after_options()
        row = self._row
        if self._refused:
            return None
        if self._script is not None:
            return Scripts(texts=(self._script,), environment=self._env)
        if row.script:
            return None
        at += row.skips
        at += at < len(self._rest) and self._rest[at].text == "--"
        rest = self._rest[at:]
        if row.reads == "shell":
            texts = tuple(word for word in rest if " " in word.text) if row.each else (joined(rest),)
            return Scripts(texts=texts, environment=self._env)
        if row.reads == "image":
            return self._from_image(at)
        if row.reads == "package":
            return self._from_package(at)
        if self._program is not None:
            rest = (self._program, *rest)
        return _behind(rest, (*self._prefix, *self._rest[:at]), self._env, self._in_swap)

    def _after_options(self) -> int:
        """Where the words behind the launcher's own options begin."""
        at = 0
        while at < len(self._rest):
            text = self._rest[at].text
            name, equals, _ = text.partition("=")
            if self._row.is_assigning and _ASSIGNMENT.match(text):
                self._set(self._rest[at])
                at += 1
            elif not text.startswith(("-", "+")) or text in ("-", "--"):
                break
            else:
                self._refused |= text in self._row.refuses
                takes = not equals and self._takes_value(text)
                value = (
                    self._rest[at].slice(len(name) + 1)
                    if equals
                    else self._rest[at + 1]
                    if takes and at + 1 < len(self._rest)
                    else None
                )
                if value is not None:
                    self._option(name, value)
                at += 1 + takes
                if self._script is not None:
                    break
        return min(at, len(self._rest))

    def _takes_value(self, text: str) -> bool:
        row = self._row
        if text in (*row.script, *row.program, *row.sets):
            return True
        return text not in row.switches if row.switches else text in row.values

    def _option(self, name: str, value: Traced) -> None:
        if name in self._row.sets:
            self._set(value)
        elif name in self._row.script:
            self._script = value
        elif name in self._row.program:
            self._program = value

    def _set(self, word: Traced) -> None:
        if match := _ASSIGNMENT.match(word.text):
            self._env = (*self._env, (match[1], word.slice(match.end())))

    def _from_image(self, at: int) -> Launched | Scripts | None:
        """A container's program: what is named, else what the image runs."""
        if at >= len(self._rest):
            return None
        image, rest = self._rest[at], self._rest[at + 1 :]
        prefix = (*self._prefix, *self._rest[:at])
        if self._program is not None:
            return _behind((self._program, *rest), prefix, self._env, self._in_swap)
        if inside := _behind(rest, (*prefix, image), self._env, in_swap=False):
            return inside
        row = image_of(image.text)
        is_served = row is None and (image.is_open or is_named(image.text)) and is_likely([word.text for word in rest])
        if is_served:
            return Launched(program=image, tool=Tool.SERVER, words=rest, prefix=prefix, environment=self._env)
        return _start(row, image, rest, prefix, self._env) if row else None

    def _from_package(self, at: int) -> Launched | Scripts | None:
        """``nix run PACKAGE -- ARGUMENTS``."""
        words = [word.text for word in self._rest[at:]]
        if not words or not is_named(words[0]) or "--" not in words:
            return None
        start = at + words.index("--") + 1
        return Launched(program=self._rest[at], tool=Tool.SERVER, words=self._rest[start:], prefix=self._prefix)

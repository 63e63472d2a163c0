"""PowerShell scripts: variables, arrays, splatting, calls and Start-Process, read statement by statement."""

from __future__ import annotations

import re
from typing import Final

from omniplan.formats.batch import words_of
from omniplan.formats.command import Command
from omniplan.formats.contents import Contents
from omniplan.formats.powershell_words import Lexer, Value, fields_of
from omniplan.formats.programs import Settings
from omniplan.formats.starts import starts
from omniplan.formats.traced import LONGEST, Source, Traced, joined

_ASSIGNMENT: Final = re.compile(
    r"(?:\[[\w.\[\]]+\]\s*)*\$(?:(?:script|global|local|private):)?\{?([\w:]+)\}?\s*(\+?=)(?!=)\s*", re.IGNORECASE
)
_KEYWORD: Final = re.compile(
    r"(?:if|elseif|while|foreach|for|switch|else|try|finally|do|catch|begin|process|end|return|trap)\b\s*",
    re.IGNORECASE,
)
_FUNCTION: Final = re.compile(r"(?:function|filter)\s+[\w:-]+\s*", re.IGNORECASE)
_PARAM: Final = re.compile(r"param\s*\(", re.IGNORECASE)
_ATTRIBUTE: Final = re.compile(r"\[\w+\s*\([^()\n]*\)\]|\[[\w.]+(?:\[\])?\](?=\s*\$\w+\s*[,)\n])|\$\w+(?=\s*[,)])")
_BETWEEN: Final = re.compile(r"[\s;{}|,)]+|`\r?\n|&&|\|\||<\#[\s\S]*?\#>|\#[^\n]*")
_START: Final = frozenset({"start-process", "start", "saps"})
_EVALUATES: Final = frozenset({"invoke-expression", "iex"})
_VALUED: Final = frozenset(
    "workingdirectory redirectstandardoutput redirectstandarderror windowstyle verb credential".split()
)
_CALLS: Final = 5


def read(source: Source) -> Contents:
    """What a script starts."""
    reader = _Reader()
    reader.run(source, 0)
    return Contents(tuple(reader.commands))


class _Reader:
    """Walks statements from top to bottom, in every block."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self._known: dict[str, Value] = {}

    def run(self, source: Source, depth: int) -> None:
        """Walk a text."""
        lexer = Lexer(source, self._known)
        text = source.text[:LONGEST]
        at = 0
        while at < len(text):
            if (
                match := _BETWEEN.match(text, at)
                or _PARAM.match(text, at)
                or _FUNCTION.match(text, at)
                or _ATTRIBUTE.match(text, at)
            ):
                at = match.end()
            elif match := _ASSIGNMENT.match(text, at):
                at = self._assign(lexer, match, source, depth)
            elif match := _KEYWORD.match(text, at):
                at = lexer.past_parentheses(match.end()) if text[match.end() : match.end() + 1] == "(" else match.end()
            else:
                at = max(at + 1, self._command(lexer, at, source, depth))

    def _assign(self, lexer: Lexer, match: re.Match[str], source: Source, depth: int) -> int:
        name, sign = match[1].lower(), match[2]
        value, at = lexer.value(match.end())
        if value is None and lexer.is_command(match.end()):
            at = self._command(lexer, match.end(), source, depth)
        old = self._known.get(name)
        if sign == "+=" and old is not None and value is not None:
            value = _sum(old, value)
        if value is None:
            self._known.pop(name, None)
        elif sign == "=" or old is not None:
            self._known[name] = value
        return max(at, match.end())

    def _command(self, lexer: Lexer, at: int, source: Source, depth: int) -> int:
        begin = at
        words, at = lexer.words(at)
        flat = [word for value in words for word in fields_of(value)]
        if flat and flat[0].text in {"&", "."}:
            flat, words = flat[1:], words[1:]
        if not flat:
            return at
        name = flat[0].text.lower()
        if (
            flat[0].text.startswith("-")
            and self.commands
            and not self.commands[-1].cut
            and self._last() < source.line(begin) <= self._last() + 2
        ):
            self.commands[-1] = self.commands[-1].cut_on(source.line(begin) - 1)
        elif name in _START:
            flat = _process(words[1:])
            self._start(source, flat)
        elif name in _EVALUATES and depth < _CALLS:
            self.run(source.inside(joined(flat[1:])), depth + 1)
        else:
            self._start(source, flat)
        return at

    def _last(self) -> int:
        """The last line of the last command."""
        command = self.commands[-1]
        return max([command.line, *(word.line for word in command.words)])

    def _start(self, source: Source, words: list[Traced]) -> None:
        env: Settings = tuple(
            (name.removeprefix("env:").upper(), value)
            for name, value in self._known.items()
            if name.startswith("env:") and isinstance(value, Traced)
        )
        if words:
            self.commands += starts(source, words, env=env).commands


def _sum(old: Value, new: Value) -> Value:
    if isinstance(old, Traced) and isinstance(new, Traced):
        return joined((old, new), "")
    return [*fields_of(old), *fields_of(new)]


def _process(words: list[Value]) -> list[Traced]:
    """The program and the arguments of Start-Process, whose arguments are joined with blanks and split again."""
    given: dict[str, list[Traced]] = {}
    rest: list[Value] = []
    items = list(words)
    while items:
        item = items.pop(0)
        if isinstance(item, dict):
            given |= {name: fields_of(value) for name, value in item.items()}
        elif isinstance(item, Traced) and item.text.startswith("-") and not rest[2:]:
            name = item.text[1:].rstrip(":").lower()
            is_valued = (
                name in _VALUED or "filepath".startswith(name) or "argumentlist".startswith(name) or name == "args"
            )
            if is_valued and items:
                key = (
                    "filepath"
                    if name and "filepath".startswith(name)
                    else "argumentlist"
                    if name == "args" or "argumentlist".startswith(name)
                    else name
                )
                given[key] = fields_of(items.pop(0))
        else:
            rest.append(item)
    for key in ("filepath", "argumentlist"):
        if key not in given and rest:
            given[key] = fields_of(rest.pop(0))
    return [*given.get("filepath", []), *(word for text in given.get("argumentlist", []) for word in words_of(text))]

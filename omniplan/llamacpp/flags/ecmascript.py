"""ECMAScript regular expressions as libstdc++'s ``std::regex`` reads them, translated to Python's ``re``.

llama.cpp matches tensor names with ``std::regex_search`` (src/llama-model-loader.cpp: ``create_tensor``). The grammar
is that of GCC's bits/regex_scanner.tcc and bits/regex_compiler.tcc: no look-behind, no named groups, no possessive
quantifiers, identity escapes for every other character, ``^`` and ``$`` only at the ends of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NoReturn

_ESCAPED: Final = {"0": "\0", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_HEX_DIGITS: Final = {"x": 2, "u": 4}
_REPEATS: Final = "*+?{"
_ASSERTIONS: Final = {"^": r"\A", "$": r"\Z"}
_GROUPS: Final = {"(?:": "(?:", "(?=": "(?=", "(?!": "(?!"}
_CLASSES: Final = {
    "alnum": "a-zA-Z0-9", "alpha": "a-zA-Z", "blank": " \\t", "cntrl": "\\x00-\\x1f\\x7f", "digit": "0-9",
    "graph": "!-~", "lower": "a-z", "print": " -~", "punct": "!-/:-@\\[-`{-~", "space": " \\t-\\r", "upper": "A-Z",
    "xdigit": "0-9a-fA-F", "d": "0-9", "s": " \\t-\\r", "w": "a-zA-Z0-9_",
}  # fmt: skip


class PatternError(ValueError):
    """A pattern that ``std::regex`` refuses; says what and where."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """A compiled pattern; every text it matches contains ``literal``."""

    pattern: str
    literal: str
    search: Callable[[str], re.Match[str] | None]

    def matches(self, text: str) -> bool:
        """``std::regex_search``: whether some part of ``text`` matches."""
        return self.literal in text and self.search(text) is not None


@lru_cache(maxsize=8192)
def compile_pattern(pattern: str) -> Matcher:
    """The matcher of ``pattern``; a ``PatternError`` when ``std::regex`` would throw."""
    reader = _Reader(pattern)
    pieces = reader.disjunction()
    if reader.peek():
        reader.fail("unbalanced ')'")
    literal = _longest_run(pieces[0]) if len(pieces) == 1 else ""
    return Matcher(pattern, literal, re.compile(_text(pieces), re.ASCII).search)


@dataclass(frozen=True, slots=True)
class _Piece:
    """One translated term; ``literal`` is the character it stands for, if it is just that."""

    text: str
    literal: str = ""


def _text(alternatives: list[list[_Piece]]) -> str:
    return "|".join("".join(piece.text for piece in pieces) for pieces in alternatives)


def _longest_run(pieces: list[_Piece]) -> str:
    runs = "".join(piece.literal or "\0" for piece in pieces).split("\0")
    return max(runs, key=len)


class _Reader:
    """A cursor over a pattern, with one method per production of the grammar."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.n_groups = 0
        self.open_groups: list[int] = []

    def fail(self, why: str) -> NoReturn:
        raise PatternError(f"{why} at position {self.at}")

    def peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def take(self) -> str:
        char = self.peek()
        self.at += 1
        return char

    def accept(self, text: str) -> bool:
        found = self.pattern.startswith(text, self.at)
        self.at += len(text) if found else 0
        return found

    def disjunction(self) -> list[list[_Piece]]:
        alternatives = [self.alternative()]
        while self.accept("|"):
            alternatives.append(self.alternative())
        return alternatives

    def alternative(self) -> list[_Piece]:
        pieces = []
        while self.peek() and self.peek() not in "|)":
            pieces.append(self.term())
        return pieces

    def term(self) -> _Piece:
        char = self.peek()
        if char in _REPEATS:
            self.fail("nothing to repeat")
        if char in _ASSERTIONS:
            return _Piece(_ASSERTIONS[self.take()])
        if char == "(":
            return self.group()
        self.take()
        if char == "\\":
            return self.escape()
        if char == "[":
            return self.repeated(_Piece(_Bracket(self).read()))
        return self.repeated(_Piece(r"[^\n\r]") if char == "." else _Piece(re.escape(char), char))

    def group(self) -> _Piece:
        opening = next((start for start in _GROUPS if self.accept(start)), "")
        if not opening:
            self.take()
            if self.peek() == "?":
                self.fail("'(?' must be followed by ':', '=' or '!'")
            self.n_groups += 1
            self.open_groups.append(self.n_groups)
        piece = _Piece(f"{opening or '('}{_text(self.disjunction())})")
        if not self.accept(")"):
            self.fail("missing ')'")
        if not opening:
            self.open_groups.pop()
        return piece if opening in ("(?=", "(?!") else self.repeated(piece)

    def escape(self) -> _Piece:
        char = self.peek()
        if char in ("b", "B") and self.take():
            return _Piece("(?!\\b)" if char == "B" else "\\b")
        if char and char in "dDsSwW" and self.take():
            return self.repeated(_Piece(f"\\{char}"))
        if char and char in "123456789":
            return self.repeated(self.back_reference())
        literal = self.escaped_character()
        return self.repeated(_Piece(re.escape(literal), literal))

    def back_reference(self) -> _Piece:
        start = self.at
        while self.peek() and self.peek() in "0123456789":
            self.take()
        number = int(self.pattern[start : self.at])
        if number > min(self.n_groups, 99) or number in self.open_groups:
            self.fail(f"no closed group {number} to refer to")
        return _Piece(f"(?:\\{number})")

    def escaped_character(self) -> str:
        """The character after a backslash, once it is known to stand for a single one."""
        char = self.take()
        if not char:
            self.fail("the pattern ends in a backslash")
        if char in _ESCAPED:
            return _ESCAPED[char]
        if char == "c":
            return self.take() or self.fail("'\\c' without a letter")
        if char in _HEX_DIGITS:
            digits = self.pattern[self.at : self.at + _HEX_DIGITS[char]]
            if not re.fullmatch(f"[0-9a-fA-F]{{{_HEX_DIGITS[char]}}}", digits):
                self.fail(f"'\\{char}' needs {_HEX_DIGITS[char]} hexadecimal digits")
            self.at += len(digits)
            return chr(int(digits, 16))
        return char

    def repeated(self, piece: _Piece) -> _Piece:
        """``piece`` with its quantifiers; ``std::regex`` allows several, each around all before it."""
        text = piece.text
        while self.peek() and self.peek() in _REPEATS:
            quantifier = self.quantifier()
            text = f"(?:{text}){quantifier}" if text != piece.text else f"{text}{quantifier}"
        return piece if text == piece.text else _Piece(text)

    def quantifier(self) -> str:
        start = self.at
        if self.take() == "{":
            bounds = re.compile(r"(\d+)(?:,(\d*))?\}", re.ASCII).match(self.pattern, self.at)
            if not bounds:
                self.fail("'{' starts no quantifier such as {2} or {2,}")
            if bounds[2] and int(bounds[2]) < int(bounds[1]):
                self.fail("the bounds of '{}' are in the wrong order")
            self.at = bounds.end()
        self.accept("?")
        return self.pattern[start : self.at]


class _Bracket:
    """The inside of ``[...]``: characters, ranges and classes."""

    def __init__(self, reader: _Reader) -> None:
        self.reader = reader
        self.items: list[str] = []
        self.last: str | None = None  # the character a range could start with
        self.after_class = False

    def read(self) -> str:
        negated = self.reader.accept("^")
        while not self.reader.accept("]"):
            self.element()
        self.flush()
        if not self.items:
            return r"[\s\S]" if negated else "(?!)"
        return f"[{'^' if negated else ''}{''.join(self.items)}]"

    def flush(self) -> None:
        if self.last is not None:
            self.items.append(re.escape(self.last))
        self.last = None

    def element(self) -> None:
        if self.reader.accept("-"):
            self.dash()
        elif (content := self.character_class()) is not None:
            self.flush()
            self.items.append(content)
            self.after_class = True
        else:
            self.push(self.character())

    def push(self, char: str) -> None:
        self.flush()
        self.last = char
        self.after_class = False

    def dash(self) -> None:
        if self.reader.peek() == "]":
            self.push("-")
        elif self.after_class:
            self.reader.fail("a range cannot start with a class")
        elif self.last is None:
            self.push("-")
        else:
            self.close_range(self.last)

    def close_range(self, first: str) -> None:
        if self.reader.peek() != "-" and self.starts_class():
            self.reader.fail("a range cannot end with a class")
        last = self.character()
        if first > last:
            self.reader.fail(f"the range {first}-{last} is in the wrong order")
        self.items.append(f"{re.escape(first)}-{re.escape(last)}")
        self.last = None

    def starts_class(self) -> bool:
        ahead = self.reader.pattern[self.reader.at : self.reader.at + 2]
        return ahead in ("[:", "[.", "[=") or (ahead[:1] == "\\" and ahead[1:] in tuple("dDsSwW"))

    def character_class(self) -> str | None:
        if not self.starts_class():
            return None
        opening = self.reader.take() + self.reader.take()
        if opening[0] == "\\":
            return opening
        end = self.reader.pattern.find(f"{opening[1]}]", self.reader.at)
        name = self.reader.pattern[self.reader.at : end].lower() if end >= 0 else ""
        if opening != "[:" or name not in _CLASSES:
            self.reader.fail(f"unknown character class '{opening}{name}'")
        self.reader.at = end + 2
        return _CLASSES[name]

    def character(self) -> str:
        char = self.reader.take()
        if not char:
            self.reader.fail("missing ']'")
        if char != "\\":
            return char
        if self.reader.peek() and self.reader.peek() in "123456789B":
            self.reader.fail("no such escape inside '[]'")
        return "\b" if self.reader.accept("b") else self.reader.escaped_character()

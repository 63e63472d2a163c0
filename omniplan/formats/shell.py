"""llama-server commands inside shell text: quotes, continuations and comments read, variables left as they stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from omniplan.formats.command import Command, Word

# One piece of shell text; pieces that touch form a word. Substitutions are taken whole and stay as written.
_PIECE: Final = re.compile(
    r"""
    (?P<join>\\\r?\n)
  | (?P<end>\r?\n|[;|()]|&(?!>))
  | (?P<redirect>(?:\d*|&)(?:>>|<<<|<<-|<<|[<>])(?:&[\d-]+|&|\|)?)
  | (?P<blank>[ \t\r]+)
  | '(?P<single>[^']*)'
  | "(?P<double>(?:\\[\s\S]|[^"\\])*)"
  | \\(?P<escaped>[\s\S])
  | (?P<plain>\$\([^()]*\)|\$\{[^}]*\}|`[^`]*`|[^\s\\'"`;|&()<>$0-9]+|[\s\S])
    """,
    re.VERBOSE,
)
# A command that no shell reads: white space and quotes only, every other character is its own.
_BARE_PIECE: Final = re.compile(
    r"""
    (?P<join>\\\n)
  | (?P<blank>[ \t\n]+)
  | '(?P<single>[^']*)'
  | "(?P<double>(?:\\[\s\S]|[^"\\])*)"
  | \\(?P<escaped>[\s\S])
  | (?P<plain>[^ \t\n\\'"]+|[\s\S])
    """,
    re.VERBOSE,
)
_DOUBLE: Final = re.compile(r'\\(?:\r?\n|([$`"\\]))')
_ASSIGNMENT: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=([\s\S]*)")
_SERVER: Final = re.compile(r"(?:.*/)?llama-server(?:\.exe)?|.*llama\.cpp:(?:server|full)[\w.-]*")
_EXPORTS: Final = frozenset({"export", "declare", "env"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    """A word; or, when ``ends``, the end of a simple command; or a redirection with its target."""

    text: str
    line: int
    ends: bool = False
    redirects: bool = False


def commands(text: str, *, line: int = 1) -> tuple[Command, ...]:
    """Every llama-server command of a script, with what is exported before it; ``line`` numbers the first line.

    A container image of llama.cpp's server counts as the program, as do its paths. What stands before the program is
    the command's ``prefix``.
    """
    exported: list[tuple[str, Word]] = []
    found = []
    for words in _simple_commands(text, line):
        environment = [*exported, *_assignments(words)]
        if words[0].text in _EXPORTS and not any(is_server(word.text) for word in words):
            exported += _assignments(words[1:])
        elif (at := program_at(words)) is not None:
            prefix = tuple(words[:at])
            found.append(
                Command(
                    name="",
                    line=words[at].line,
                    words=tuple(words[at + 1 :]),
                    prefix=prefix,
                    program=words[at].text,
                    environment=tuple(environment),
                )
            )
    return tuple(found)


def is_server(text: str) -> bool:
    """Whether ``text`` names the llama-server program or an image whose entry point it is."""
    return _SERVER.fullmatch(text) is not None


def program_at(words: Sequence[Word]) -> int | None:
    """Index of the word that starts llama-server, or None."""
    return next((at for at, word in enumerate(words) if is_server(word.text)), None)


def split(text: str, *, line: int = 1) -> tuple[Word, ...]:
    """Words of a command line that no shell reads, with the lines on which they begin: quotes and backslashes only."""
    return tuple(Word(text=token.text, line=token.line) for token in _tokens(text, line, _BARE_PIECE))


def _assignments(words: Iterable[Word]) -> Iterator[tuple[str, Word]]:
    """Assignments among the words before a program, also as values of ``-e`` and ``--env``."""
    for word in words:
        if is_server(word.text):
            return
        if match := _ASSIGNMENT.fullmatch(word.text):
            yield match[1], Word(text=match[2], line=word.line)


def _simple_commands(text: str, line: int) -> Iterator[list[Word]]:
    words: list[Word] = []
    skip = False
    for token in _tokens(text, line, _PIECE):
        if token.ends:
            if words:
                yield words
            words, skip = [], False
        elif token.redirects:
            skip = not token.text.endswith(tuple("0123456789-")) or token.text.isdigit()
        elif skip:
            skip = False
        else:
            words.append(Word(text=token.text, line=token.line))
    if words:
        yield words


def _tokens(text: str, line: int, pieces: re.Pattern[str]) -> Iterator[_Token]:
    at, word, began = 0, None, line
    while at < len(text):
        if word is None and text[at] == "#" and pieces is _PIECE:
            at = _line_end(text, at)
            continue
        piece = pieces.match(text, at)
        assert piece is not None
        kind, found = piece.lastgroup or "single", piece[0]
        if kind == "redirect" and word is not None and found[0].isdigit():
            kind, piece_text, end = "plain", found[0], at + 1
        else:
            piece_text, end = _text(kind, piece), piece.end()
        if kind in {"end", "redirect", "blank"}:
            if word is not None:
                yield _Token(text=word, line=began)
            word = None
            if kind != "blank":
                yield _Token(text=found, line=line, ends=kind == "end", redirects=kind == "redirect")
        elif kind != "join":
            began = line if word is None else began
            word = (word or "") + piece_text
        line += text.count("\n", at, end)
        at = end
    if word is not None:
        yield _Token(text=word, line=began)


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _text(kind: str, piece: re.Match[str]) -> str:
    if kind == "double":
        return _DOUBLE.sub(lambda match: match[1] or "", piece["double"])
    return piece[kind]

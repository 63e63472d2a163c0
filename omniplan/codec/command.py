"""One llama-server command as a file writes it: its words, where each stands, and what its environment holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from omniplan.errors import InputError

# Bytes that are not UTF-8 travel as lone surrogates, so that writing gives them back.
_ERRORS: Final = "surrogateescape"


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One argument, and the line of the file (from 1) on which it begins."""

    text: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One llama-server invocation.

    ``name`` is the section, model or service it belongs to, "" for a bare command; ``line`` (from 1) is where that
    begins. ``words`` are llama-server's arguments without the program, ``environment`` what is set beside them,
    ``prefix`` what stands before the program, such as ``numactl`` with its arguments.
    """

    name: str
    line: int
    words: tuple[Word, ...]
    environment: tuple[tuple[str, Word], ...] = ()
    prefix: tuple[Word, ...] = ()

    @property
    def args(self) -> tuple[str, ...]:
        """The arguments alone."""
        return tuple(word.text for word in self.words)

    @property
    def env(self) -> dict[str, str]:
        """The environment alone; a name set twice has its last value."""
        return {name: word.text for name, word in self.environment}

    def line_of(self, *flags: str) -> int:
        """Line of the last argument that is one of ``flags``, else the command's own."""
        return next((word.line for word in reversed(self.words) if word.text in flags), self.line)


def read_text(path: str | Path) -> str:
    """The file's text with every byte kept, line ends included; raises InputError when it cannot be read."""
    try:
        return Path(path).read_bytes().decode("utf-8", _ERRORS)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def to_bytes(text: str) -> bytes:
    """What ``read_text`` read, back as bytes."""
    return text.encode("utf-8", _ERRORS)


def lines_of(text: str) -> list[str]:
    """Lines with their ends; only a line feed ends one, so that joining gives ``text`` back."""
    pieces = text.split("\n")
    return [piece + "\n" for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])


def newline_of(text: str) -> str:
    """How the file ends its first line."""
    return "\r\n" if text.partition("\n")[0].endswith("\r") and "\n" in text else "\n"

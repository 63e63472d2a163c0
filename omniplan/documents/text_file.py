"""Reading a text file, ours or somebody's byte for byte, or saying in one line why it cannot be read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from omniplan.documents.near_file import near_file
from omniplan.errors import InputError

# Bytes that are not UTF-8 travel as lone surrogates, so that writing gives them back.
_ERRORS: Final = "surrogateescape"


# Stands for standard input where a file is read, and for standard output where one is written.
STDIN: Final = "-"


def read_utf8(path: str | Path) -> str:
    """The text of the UTF-8 file at ``path``, or standard input; raises InputError with the path and the reason."""
    try:
        return _bytes_of(path).decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    except ValueError as error:
        raise InputError(f"{path}: cannot be read: not text; give a text file in UTF-8") from error


def read_text(path: str | Path) -> str:
    """The file's text with every byte kept, line ends included; raises InputError when it cannot be read."""
    return _bytes_of(path).decode("utf-8", _ERRORS)


def _bytes_of(path: str | Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == STDIN else Path(path).read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; {near_file(path)}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; name a file that can") from error


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

"""Words of closed sets: a text as the member it spells."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from omniplan.errors import InputError

E = TypeVar("E", bound=StrEnum)


def member(kind: type[E], word: str, what: str) -> E:
    """The member of ``kind`` spelled ``word``; raises InputError that says what ``what`` may be."""
    try:
        return kind(word)
    except ValueError:
        raise InputError(f"{what} {word}: expected one of {', '.join(kind)}") from None

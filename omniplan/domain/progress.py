"""How far long work has come: the one shape of a callback that every verb with many steps tells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

# Steps done, steps in all (0 where nobody knows), and what comes next.
Progress = Callable[[int, int, str], None]

_Step = TypeVar("_Step")


def unwatched(_done: int, _total: int, _label: str) -> None:
    """Nobody watches."""


def told(steps: Iterable[tuple[str, _Step]], progress: Progress) -> Iterator[_Step]:
    """The steps without their names, each told by its name before it is taken."""
    listed = list(steps)
    for done, (label, step) in enumerate(listed):
        progress(done, len(listed), label)
        yield step

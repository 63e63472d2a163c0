"""The llama.cpp commands of a shell script: it is walked as a shell would run it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from omniplan.formats.command import Command
from omniplan.formats.contents import Contents, Written
from omniplan.formats.shell.scope import Function, Scope
from omniplan.formats.shell.syntax import tree
from omniplan.formats.shell.walk import Walk
from omniplan.formats.traced import Source, Traced

T = TypeVar("T")

# A function that calls itself, and strings in strings, end here.
_CALLS: Final = 12
# Far more statements and commands than any start script runs, counting every call of a function.
_STEPS: Final = 50_000
_COMMANDS: Final = 4_000


def read_script(source: Source, *, scope: Scope | None = None) -> Contents:
    """Everything that a script starts, and the files that it writes."""
    reader = Reader()
    reader.run(source, scope or Scope())
    reader.uncalled()
    return Contents(tuple(reader.commands), tuple(reader.files))


def commands(text: str) -> tuple[Command, ...]:
    """The llama.cpp commands of a script, with what is exported before each."""
    return read_script(Source(text)).commands


class Reader:
    """Walks scripts and collects."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.files: list[Written] = []
        self._calls = 0
        self._steps = 0
        self._called: set[str] = set()
        self._functions: dict[str, tuple[Function, Scope]] = {}

    def run(self, source: Source, scope: Scope) -> None:
        """Walk a script."""
        self.deeper(lambda: Walk(self, source, scope).block(tree(source.text), 0))

    def is_at_end(self) -> bool:
        """Whether enough has been walked."""
        self._steps += 1
        return self._steps > _STEPS or len(self.commands) > _COMMANDS

    def deeper(self, read: Callable[[], T]) -> T | None:
        """What ``read`` gives, None where scripts stand in scripts too deeply."""
        if self._calls >= _CALLS:
            return None
        self._calls += 1
        found = read()
        self._calls -= 1
        return found

    def define(self, name: str, function: Function, scope: Scope) -> None:
        """Remember a function, for a script that only defines it."""
        self._functions[name] = (function, scope)

    def call(self, function: Function, scope: Scope, arguments: tuple[Traced, ...] | None, name: str) -> None:
        """Walk a function with its arguments; its variables are the script's, as the shell has it."""
        self._called.add(name)
        outer, scope.positional = scope.positional, arguments
        self.deeper(lambda: Walk(self, function.source, scope).statement(function.body, 0))
        scope.positional = outer

    def uncalled(self) -> None:
        """Walk functions that nothing called, with arguments that nobody knows."""
        for name, (function, scope) in list(self._functions.items()):
            if name not in self._called:
                self.call(function, scope.copy(), None, name)

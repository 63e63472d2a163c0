"""One llama-server command as a file writes it: its words, where each stands, and what its environment holds."""

from __future__ import annotations

from dataclasses import dataclass


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
    ``prefix`` what stands before the program, such as ``numactl`` with its arguments. ``program`` is its path, or the
    container image that has it, "" where nothing says.
    """

    name: str
    line: int
    words: tuple[Word, ...]
    environment: tuple[tuple[str, Word], ...] = ()
    prefix: tuple[Word, ...] = ()
    program: str = ""

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

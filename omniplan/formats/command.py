"""One llama-server command as a file writes it: its words, where each stands, and what its environment holds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class Tool(StrEnum):
    """Which program of llama.cpp, or around it, a command starts."""

    SERVER = "llama-server"
    CLI = "llama-cli"
    BENCH = "llama-bench"
    KOBOLD = "koboldcpp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One argument, and the line of the file (from 1) on which it begins.

    ``span`` are the characters of the file that say it and nothing else, None where there are none of its own.
    ``is_open`` says that it is known only when the command runs; ``is_entry`` that it is a flag which stands as
    ``key = value``, so that a flag in its place stands as one too.
    """

    text: str
    line: int
    span: tuple[int, int] | None = None
    is_open: bool = False
    is_entry: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One llama-server invocation.

    ``name`` is the section, model or service it belongs to, "" for a bare command; ``line`` (from 1) is where that
    begins. ``words`` are llama-server's arguments without the program, ``environment`` what is set beside them,
    ``prefix`` what stands before the program, such as ``numactl`` with its arguments. ``program`` is its path, or the
    container image that has it, "" where nothing says; ``tool`` which one it is. ``cut`` is the line on which a
    comment or a blank ends the command though it was to go on, 0 for none.
    """

    name: str
    line: int
    words: tuple[Word, ...]
    environment: tuple[tuple[str, Word], ...] = ()
    prefix: tuple[Word, ...] = ()
    program: str = ""
    tool: Tool = Tool.SERVER
    cut: int = 0

    @property
    def args(self) -> tuple[str, ...]:
        """The arguments alone."""
        return tuple(word.text for word in self.words)

    @property
    def env(self) -> dict[str, str]:
        """The environment alone; a name set twice has its last value."""
        return {name: word.text for name, word in self.environment}

    def cut_on(self, line: int) -> Command:
        """The command as one that ends on ``line`` against its will; a blank that did it is no argument."""
        words = self.words[:-1] if self.words and not self.words[-1].text.strip() else self.words
        return replace(self, words=words, cut=line)

    def line_of(self, *flags: str) -> int:
        """Line of the last argument that is one of ``flags``, else the command's own."""
        return next((word.line for word in reversed(self.words) if word.text in flags), self.line)

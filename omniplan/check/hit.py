"""What a rule answers: a message, the place it is about, and edits that would mend it."""

from __future__ import annotations

from dataclasses import dataclass

from omniplan.check.values import Severity
from omniplan.formats.command import Word


@dataclass(frozen=True, slots=True, kw_only=True)
class WordEdit:
    """``word`` of the command gives way to ``texts``; none deletes it."""

    word: Word
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineEdit:
    """The first ``old`` on a line of the file, outside every command, becomes ``new``."""

    line: int
    old: str
    new: str


Edit = WordEdit | LineEdit


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One thing a rule found.

    ``at`` is the word or line it stands on, the command's own line for None. ``severity`` may be lower than the
    rule's, ``fix`` more exact. ``edits`` mend what llama-server refuses, ignores or reads otherwise than meant; what it
    takes as written is a decision, and stays.
    """

    message: str
    at: Word | int | None = None
    severity: Severity | None = None
    fix: str = ""
    edits: tuple[Edit, ...] = ()

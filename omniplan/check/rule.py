"""What a rule's function is: asked about one command, or about a whole file; and a rule, which is that and a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from omniplan.check.case import Case
from omniplan.check.document import File
from omniplan.check.hit import Hit
from omniplan.check.table import CheckRule

CommandRule = Callable[[Case], Iterable[Hit]]
FileRule = Callable[[File], Iterable[Hit]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: its row, and the function that is asked; other packages offer theirs as ``omniplan.rules``."""

    row: CheckRule
    of_command: CommandRule | None = None
    of_file: FileRule | None = None

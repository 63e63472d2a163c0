"""What a check of arguments or of a file finds: each finding with its place, its reason and its way out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from omniplan.documents.record import Record
from omniplan.domain.footprint import Unpriced


class Severity(StrEnum):
    """How much a finding matters.

    An error stops the server or loses what was meant; a warning says what to change; an info is a choice, or a fact of
    the machine that no argument changes.
    """

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding(Record):
    """One rule that applies.

    ``line`` counts from 1 in ``file``; for bare arguments it is the place of the option. ``command`` is the section,
    model or service, "" where there is only one or where several take this from one place, which ``places`` counts.
    ``message`` has the figures of this case; ``why``, ``source`` and ``fix`` are the rule's.
    """

    rule: str
    severity: Severity
    file: str
    line: int
    command: str
    message: str
    why: str
    source: str
    fix: str
    places: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport(Record):
    """All findings of one file or one set of arguments, worst first where they stand on one line.

    ``n_commands`` of llama.cpp were read, ``n_models`` of their models were at hand. ``mentioned`` is the first line
    that speaks of llama.cpp where no command could be read, else 0. ``fits`` says whether all
    of those with a machine fit, None where there are none or where ``unpriced`` leaves that open. ``diff`` is a
    unified diff of what can be mended without asking, empty when nothing can.
    """

    file: str
    n_commands: int
    n_models: int
    machine: str
    findings: tuple[Finding, ...]
    fits: bool | None = None
    unpriced: tuple[Unpriced, ...] = ()
    mentioned: int = 0
    diff: str = ""

    @property
    def verdict(self) -> bool | None:
        """Whether nothing is above info; None where nothing is, but something fits or stands there unread."""
        return self.is_clean and (None if self.unpriced or self.mentioned else True)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is above info."""
        return all(finding.severity is Severity.INFO for finding in self.findings)

    def of(self, rule: str) -> tuple[Finding, ...]:
        """The findings of one rule."""
        return tuple(finding for finding in self.findings if finding.rule == rule)

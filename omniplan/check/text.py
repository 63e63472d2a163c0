"""Findings of a check as a screen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from omniplan.check.folder import FolderReport
from omniplan.check.values import CheckReport, Finding, Severity
from omniplan.text.palette import Hue
from omniplan.text.screen import Passage, Prose, Screen, Toned
from omniplan.text.verdict import unknown

_PLURAL: Final = {Severity.ERROR: "error(s)", Severity.WARNING: "warning(s)", Severity.INFO: "info"}
_ROLE: Final = {Severity.ERROR: Hue.BAD, Severity.WARNING: Hue.WARNING, Severity.INFO: Hue.QUIET}


def check_screen(report: CheckReport) -> Screen:
    """A line a finding, and where a rule comes first or says something else, why, with its source, and the fix."""
    return Screen((unknown(report.unpriced), *_findings(report), Passage([Prose(_sum(report), hang=2)])))


def folder_screen(report: FolderReport) -> Screen:
    """The findings of every file, what nobody can read, and a summary."""
    found = [section for item in report.reports if item.findings for section in check_screen(item).sections]
    unread = [Prose(f"not read: {line}", hang=2) for line in report.unread]
    silent = [f"{item.file}:{item.mentioned}" for item in report.reports if item.mentioned]
    if silent:
        unread.append(Prose(f"llama.cpp is mentioned, and no command could be read: {', '.join(silent)}", hang=2))
    count = sum(item.n_commands for item in report.reports)
    total = f"{report.folder}: {_counted(report.findings)} ({count} command(s) in {report.n_files} file(s))"
    return Screen((*found, Passage([*unread, Prose(total, hang=2)])))


def _findings(report: CheckReport) -> Iterator[Passage]:
    told: set[tuple[str, str]] = set()
    lines: list[Prose] = []
    for finding in report.findings:
        lines.append(Prose(_headline(finding), hang=4, is_record=True))
        if (finding.rule, finding.fix) not in told:
            source = Toned(f" [{finding.source}]", Hue.QUIET)
            lines.append(Prose((f"why: {finding.why}", source), indent=4, hang=5))
            lines.append(Prose(f"fix: {finding.fix}", indent=4, hang=5))
            yield Passage(lines)
            lines = []
        told.add((finding.rule, finding.fix))
    yield Passage(lines)


def _counted(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.severity for finding in findings)
    found = ", ".join(f"{counts[severity]} {_PLURAL[severity]}" for severity in Severity if counts[severity])
    return found or "nothing found"


def _headline(finding: Finding) -> tuple[str | Toned, ...]:
    named = finding.command or (f"{finding.places} commands" if finding.places > 1 else "")
    place = f"{finding.file}:{finding.line}: {f'[{named}] ' if named else ''}"
    return place, Toned(finding.severity, _ROLE[finding.severity]), f": {finding.message} ({finding.rule})"


def _sum(report: CheckReport) -> str:
    known = f"{report.n_commands} command(s), {report.n_models} with a model at hand"
    if report.mentioned:
        known = f"llama.cpp is mentioned on line {report.mentioned}, and no command could be read"
    elif not report.n_commands:
        known = "no llama-server command in it"
    where = f", on {report.machine}" if report.machine else "; no machine given"
    return f"{report.file}: {_counted(report.findings)} ({known}{where})"

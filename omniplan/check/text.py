"""Findings of a check as text for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from omniplan.check.folder import FolderReport
from omniplan.check.values import CheckReport, Finding, Severity
from omniplan.text.verdict import headed


def check_text(report: CheckReport) -> str:
    """A line a finding, and where a rule comes first or says something else, why, with its source, and the fix."""
    lines: list[str] = []
    told: set[tuple[str, str]] = set()
    for finding in report.findings:
        lines.append(_headline(finding))
        if (finding.rule, finding.fix) not in told:
            lines += [f"    why: {finding.why} [{finding.source}]", f"    fix: {finding.fix}", ""]
        told.add((finding.rule, finding.fix))
    return "\n".join(headed(report.unpriced, [*lines, _sum(report)]))


def folder_text(report: FolderReport) -> str:
    """The findings of every file, what nobody can read, and a summary."""
    parts = [check_text(item) for item in report.reports if item.findings]
    parts += [f"not read: {line}" for line in report.unread]
    silent = [f"{item.file}:{item.mentioned}" for item in report.reports if item.mentioned]
    parts += [f"llama.cpp is mentioned, and no command could be read: {', '.join(silent)}"] if silent else []
    count = sum(item.n_commands for item in report.reports)
    parts.append(f"{report.folder}: {_counted(report.findings)} ({count} command(s) in {report.n_files} file(s))")
    return "\n".join(parts)


def _counted(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.severity for finding in findings)
    found = ", ".join(f"{counts[severity]} {_PLURAL[severity]}" for severity in Severity if counts[severity])
    return found or "nothing found"


def _headline(finding: Finding) -> str:
    named = finding.command or (f"{finding.places} commands" if finding.places > 1 else "")
    command = f" [{named}]" if named else ""
    return f"{finding.file}:{finding.line}:{command} {finding.severity}: {finding.message} ({finding.rule})"


def _sum(report: CheckReport) -> str:
    known = f"{report.n_commands} command(s), {report.n_models} with a model at hand"
    if report.mentioned:
        known = f"llama.cpp is mentioned on line {report.mentioned}, and no command could be read"
    elif not report.n_commands:
        known = "no llama-server command in it"
    where = f", on {report.machine}" if report.machine else "; no machine given"
    return f"{report.file}: {_counted(report.findings)} ({known}{where})"


_PLURAL = {Severity.ERROR: "error(s)", Severity.WARNING: "warning(s)", Severity.INFO: "info"}

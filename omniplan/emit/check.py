"""Findings of a check as text for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from omniplan.domain.check import Finding, Report, Severity


def check_text(report: Report) -> str:
    """One paragraph a finding: place, severity, rule and message; why, with its source; the fix. Then the sum."""
    return "\n".join([*(line for finding in report.findings for line in _paragraph(finding)), _sum(report)])


def _paragraph(finding: Finding) -> Iterator[str]:
    command = f" [{finding.command}]" if finding.command else ""
    yield f"{finding.file}:{finding.line}:{command} {finding.severity}: {finding.message} ({finding.rule})"
    yield f"    why: {finding.why} [{finding.source}]"
    yield f"    fix: {finding.fix}"
    yield ""


def _sum(report: Report) -> str:
    counts = Counter(finding.severity for finding in report.findings)
    found = ", ".join(f"{counts[severity]} {_PLURAL[severity]}" for severity in Severity if counts[severity])
    known = f"{report.n_commands} command(s), {report.n_models} with a model at hand"
    where = f", on {report.machine}" if report.machine else "; no machine given"
    return f"{report.file}: {found or 'nothing found'} ({known}{where})"


_PLURAL = {Severity.ERROR: "error(s)", Severity.WARNING: "warning(s)", Severity.INFO: "info"}

"""Findings of a check as text for a person."""

from __future__ import annotations

from collections import Counter

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


def _headline(finding: Finding) -> str:
    named = finding.command or (f"{finding.places} commands" if finding.places > 1 else "")
    command = f" [{named}]" if named else ""
    return f"{finding.file}:{finding.line}:{command} {finding.severity}: {finding.message} ({finding.rule})"


def _sum(report: CheckReport) -> str:
    counts = Counter(finding.severity for finding in report.findings)
    found = ", ".join(f"{counts[severity]} {_PLURAL[severity]}" for severity in Severity if counts[severity])
    known = f"{report.n_commands} command(s), {report.n_models} with a model at hand"
    if report.mentioned:
        known = f"llama.cpp is mentioned on line {report.mentioned}, and no command could be read"
    elif not report.n_commands:
        known = "no llama-server command in it"
    where = f", on {report.machine}" if report.machine else "; no machine given"
    return f"{report.file}: {found or 'nothing found'} ({known}{where})"


_PLURAL = {Severity.ERROR: "error(s)", Severity.WARNING: "warning(s)", Severity.INFO: "info"}

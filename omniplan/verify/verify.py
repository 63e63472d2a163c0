"""A log held against what its run should take: rows, speeds, findings, verdict."""

from __future__ import annotations

from collections.abc import Sequence

from omniplan.domain.machine import Machine
from omniplan.verify.checks import CHECKS
from omniplan.verify.compare import rows, speeds
from omniplan.verify.evidence import Evidence
from omniplan.verify.expected import Expected
from omniplan.verify.logs.report import Load, LoadReport, LogModel
from omniplan.verify.values import ComparedColumn, GpuUsage, RunFinding, RunSeverity, RunVerdict, Verification

_FAILURES = frozenset(("out-of-memory", "out-of-memory-unknown", "load-failed"))


def verify(
    report: LoadReport, expected: Expected, *, machine: Machine | None = None, usage: Sequence[GpuUsage] = ()
) -> Verification:
    """Hold ``report`` against ``expected``; ``machine`` is asked about NUMA and free memory where it is known."""
    compared = rows(report, expected)
    measured = speeds(report, expected)
    evidence = Evidence(
        report=report,
        load=report.load or Load(process="", line=0, model=LogModel()),
        expected=expected,
        rows=compared,
        speeds=measured,
        usage=usage,
        machine=expected.machine or machine,
    )
    order = list(RunSeverity)
    found = sorted((item for check in CHECKS for item in check(evidence)), key=lambda item: order.index(item.severity))
    return Verification(
        report=report,
        basis=expected.basis,
        args=expected.args,
        rows=compared,
        findings=tuple(found),
        speeds=measured,
        usage=tuple(usage),
        assumptions=expected.assumptions,
        verdict=_verdict(compared, found),
    )


def _verdict(compared: Sequence[ComparedColumn], found: Sequence[RunFinding]) -> RunVerdict:
    faults = {item.name for item in found if item.severity is RunSeverity.FAULT}
    if faults & _FAILURES:
        return RunVerdict.FAILED
    if any(row.is_within is False for row in compared):
        return RunVerdict.OUTSIDE
    if faults:
        return RunVerdict.FAULTY
    return RunVerdict.WITHIN if any(row.is_within for row in compared) else RunVerdict.UNKNOWN

"""What a check may look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from omniplan.domain.machine import Machine
from omniplan.verify.expected import Expected
from omniplan.verify.logs.report import Load, LoadReport
from omniplan.verify.values import ComparedColumn, ComparedSpeed, GpuUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything a check may look at."""

    report: LoadReport
    load: Load
    expected: Expected
    rows: Sequence[ComparedColumn]
    speeds: Sequence[ComparedSpeed]
    usage: Sequence[GpuUsage]
    machine: Machine | None

"""Plan files: JSON back to a Plan, and the published JSON Schemas."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from omniplan.bench.values import BenchReport, SmokeReport
from omniplan.certify.values import Certificate
from omniplan.check.values import CheckReport
from omniplan.documents.document import parse_document
from omniplan.documents.schema import json_schema
from omniplan.documents.text_file import read_utf8
from omniplan.domain.fit import FitResult
from omniplan.domain.footprint import Footprint
from omniplan.domain.inspection import Inspection
from omniplan.domain.machine import Machine
from omniplan.domain.measurement import Measurement
from omniplan.domain.plan import SCHEMA_VERSION, Plan
from omniplan.engines.values import Weighing
from omniplan.errors import InputError, meant
from omniplan.planning.comparison import Comparison
from omniplan.planning.frontier_values import Frontier
from omniplan.planning.recommendation import Recommendation
from omniplan.predict.learned import Learned
from omniplan.report.values import Report
from omniplan.stack.asked import StackFile
from omniplan.stack.values import Stack
from omniplan.verify.logs.report import LoadReport
from omniplan.verify.values import Verification

SCHEMAS: Final[dict[str, type]] = {
    "check": CheckReport,
    "plan": Plan,
    "footprint": Footprint,
    "fit": FitResult,
    "frontier": Frontier,
    "certificate": Certificate,
    "comparison": Comparison,
    "inspection": Inspection,
    "recommendation": Recommendation,
    "stack": Stack,
    "stack-file": StackFile,
    "calibration": Learned,
    "weighing": Weighing,
    "machine": Machine,
    "measurement": Measurement,
    "report": Report,
    "load-report": LoadReport,
    "verification": Verification,
    "bench": BenchReport,
    "smoke": SmokeReport,
}


def schema(name: str) -> dict[str, Any]:
    """JSON Schema of a published document; raises InputError for an unknown name."""
    if name not in SCHEMAS:
        raise InputError(f"schema {name}: unknown; choose one of {', '.join(SCHEMAS)}{meant(name, SCHEMAS)}")
    return json_schema(SCHEMAS[name])


def parse_plan(text: str, *, where: str = "plan") -> Plan:
    """The Plan written in ``text``; raises InputError naming the path of the first wrong field."""
    return parse_document(text, Plan, version=SCHEMA_VERSION, where=where, verb="plan")


def load_plan(path: str | Path) -> Plan:
    """The plan file at ``path``."""
    return parse_plan(read_utf8(path), where=str(path))

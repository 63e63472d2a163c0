"""Plan files: JSON back to a Plan, and the published JSON Schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from omniplan.domain.certificate import Certificate
from omniplan.domain.comparison import Comparison
from omniplan.domain.engines import Weighing
from omniplan.domain.fit import FitResult
from omniplan.domain.footprint import Footprint
from omniplan.domain.frontier import Frontier
from omniplan.domain.inspection import Inspection
from omniplan.domain.machine import Machine
from omniplan.domain.plan import SCHEMA_VERSION, Plan
from omniplan.domain.recommendation import Recommendation
from omniplan.errors import InputError

SCHEMAS: Final[dict[str, type]] = {
    "plan": Plan,
    "footprint": Footprint,
    "fit": FitResult,
    "frontier": Frontier,
    "certificate": Certificate,
    "comparison": Comparison,
    "inspection": Inspection,
    "recommendation": Recommendation,
    "weighing": Weighing,
    "machine": Machine,
}


def schema(name: str) -> dict[str, Any]:
    """JSON Schema of a published document; raises InputError for an unknown name."""
    if name not in SCHEMAS:
        raise InputError(f"schema {name}: unknown; choose one of {', '.join(SCHEMAS)}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **TypeAdapter(SCHEMAS[name]).json_schema(mode="serialization"),
    }


def parse_plan(text: str, *, where: str = "plan") -> Plan:
    """The Plan written in ``text``; raises InputError naming the path of the first wrong field."""
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: not JSON: {error}; write a plan with `omniplan plan ... --json`") from error
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if version != SCHEMA_VERSION:
        raise InputError(f"{where}: schema_version is {version!r}, this omniplan reads {SCHEMA_VERSION}; plan again")
    try:
        return TypeAdapter(Plan).validate_python(raw)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{where}: {path}: {first['msg']}") from error


def load_plan(path: str | Path) -> Plan:
    """The plan file at ``path``."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    return parse_plan(text, where=str(path))

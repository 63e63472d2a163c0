"""Values as JSON text: field names as keys, bytes as whole numbers, the same text for the same value."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def as_json(value: DataclassInstance) -> str:
    """``value`` and everything inside it as indented JSON."""
    return json.dumps(asdict(value), indent=2, ensure_ascii=False)

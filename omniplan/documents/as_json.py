"""Records as JSON text: the keys and units of files, the same text for the same value."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from omniplan.documents.record import plain

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def as_json(value: DataclassInstance) -> str:
    """``value`` and everything inside it as indented JSON."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False)

"""What one process takes of a GPU beside llama.cpp's buffers, part by part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from omniplan.documents.record import Record


class ProcessPart(StrEnum):
    """What it is taken for."""

    CONTEXT = "CUDA context"
    KERNELS = "kernels"
    REQUESTS = "first requests"
    SECOND = "second context"
    DIVIDED = "divided tensors"
    CLIENTS = "more clients"
    PAGE_TABLES = "page tables of pinned RAM"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessShare(Record):
    """One GPU's share: bytes of each part, expected; ``low`` and ``high`` are the range of all of them together.

    ``is_measured`` says that such a card has been seen, ``source`` where; else it is assumed.
    """

    parts: Mapping[ProcessPart, int]
    low: int
    high: int
    is_measured: bool
    source: str

    @property
    def total(self) -> int:
        """All parts."""
        return sum(self.parts.values())

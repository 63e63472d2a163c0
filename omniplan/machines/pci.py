"""Names of GPUs by their PCI ids: rows of ``data/pci.toml``, and a host's own list."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from omniplan.documents.source import read_table

_FILE: Final = "pci.toml"
# PCI vendors, and the word of each for its GPUs.
VENDORS: Final = {0x10DE: "nvidia", 0x1002: "amd", 0x8086: "intel", 0x106B: "apple"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PciTable:
    """The whole table; the head of it explains the keys."""

    source: str
    amd: Mapping[str, str]


@cache
def _table() -> PciTable:
    return read_table(_FILE, PciTable)


def amd_name(device: int, revision: int, own: str = "") -> str:
    """The name of an AMD GPU, first by libdrm's ``amdgpu.ids`` in ``own``; "" where neither list has it."""
    listed = re.search(rf"^{device:04x},\s*{revision:02x},\s*(.+?)\s*$", own, re.MULTILINE | re.IGNORECASE)
    rows = _table().amd
    found = listed[1] if listed else rows.get(f"{device:04x}:{revision:02x}") or rows.get(f"{device:04x}", "")
    return re.sub(r"^AMD (?=Radeon|Instinct)|\s+Graphics$", "", found)

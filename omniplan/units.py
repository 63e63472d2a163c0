"""Byte units and rounding, the only place where MiB and GiB become bytes."""

from __future__ import annotations

import math
from struct import Struct
from typing import Final

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30
_SINGLE: Final = Struct("f")


def pad(value: int, multiple: int) -> int:
    """Round ``value`` up to a whole ``multiple`` (llama.cpp's ``GGML_PAD``)."""
    return -(-value // multiple) * multiple


def single(value: float) -> float:
    """``value`` rounded to a C float, infinite where it is too large."""
    try:
        return float(_SINGLE.unpack(_SINGLE.pack(value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def mib(size: int) -> str:
    """``size`` bytes as text in MiB, with thousands separators and no decimals from 100 MiB on."""
    value = size / MIB
    return f"{value:,.0f} MiB" if abs(value) >= 100 else f"{value:,.1f} MiB"


def gib(size: int) -> str:
    """``size`` bytes as text in GiB with two decimals."""
    return f"{size / GIB:,.2f} GiB"

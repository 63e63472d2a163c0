"""Byte units and rounding, the only place where MiB and GiB become bytes."""

from __future__ import annotations

import math
import re
from struct import Struct
from typing import Final

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30
_SINGLE: Final = Struct("f")


# A number with a unit of thousands, such as 32k, 1.5 GiB or 512.
_AMOUNT: Final = re.compile(r"(-?\d{1,15}(?:\.\d{1,6})?)\s?([kmgt]?)(i?b)?", re.ASCII | re.IGNORECASE)
_SCALE: Final = {"k": KIB, "m": MIB, "g": GIB, "t": GIB << 10}


def tokens(text: str) -> int:
    """Tokens as people write them: "32768", "32k" for as many, "1m"; raises ValueError."""
    found = _AMOUNT.fullmatch(text)
    if found is None or found[3] or found[2].lower() in ("g", "t") or ("." in found[1] and not found[2]):
        raise ValueError(text)
    return round(float(found[1]) * _SCALE[found[2].lower()]) if found[2] else int(found[1])


def size(text: str, unit: int) -> int:
    """Bytes of a size as people write it: "2g", "512 MiB", or a bare number of ``unit``; raises ValueError."""
    found = _AMOUNT.fullmatch(text)
    if found is None or found[1].startswith("-") or (found[3] and not found[2]):
        raise ValueError(text)
    return round(float(found[1]) * (_SCALE[found[2].lower()] if found[2] else unit))


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

"""Text to numbers as C++'s ``std::stoi`` family does it: leading blanks and trailing rubbish are fine, ``8k`` is 8."""

from __future__ import annotations

import re
import struct
from typing import Final

_INTEGER: Final = re.compile(r"[ \t-\r]*([+-]?\d+)", re.ASCII)
_FLOAT: Final = re.compile(
    r"[ \t-\r]*(?P<sign>[+-]?)(?:(?P<word>inf(?:inity)?|nan)"
    r"|(?P<hex>0x(?:[\da-f]+\.?[\da-f]*|\.[\da-f]+)(?:p[+-]?\d+)?)"
    r"|(?P<decimal>(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?))",
    re.ASCII | re.IGNORECASE,
)
_FLOAT_MIN: Final = 2.0**-126


def stoi(text: str) -> int:
    """``std::stoi``: a 32-bit integer."""
    value = _integer(text)
    if not -(2**31) <= value < 2**31:
        raise ValueError(f"'{text}' does not fit 32 bits")
    return value


def stoul(text: str) -> int:
    """``std::stoul`` on 64-bit Linux: negative numbers wrap around."""
    value = _integer(text)
    if abs(value) >= 2**64:
        raise ValueError(f"'{text}' does not fit 64 bits")
    return value % 2**64


def stof(text: str) -> float:
    """``std::stof``: the value rounded to float32; hexadecimal, ``inf`` and ``nan`` are numbers too."""
    found = _FLOAT.match(text)
    if not found:
        raise ValueError(f"'{text}' is not a number")
    value = _double(found)
    return value if found["word"] else _to_float32(value, text)


def atol(text: str) -> int:
    """``std::atol``: as ``stoul`` reads it, but signed, and 0 where no number begins."""
    found = _INTEGER.match(text)
    return max(-(2**63), min(int(found[1]), 2**63 - 1)) if found else 0


def atof(text: str) -> float:
    """``std::atof``: a double, 0 where no number begins."""
    found = _FLOAT.match(text)
    return _double(found) if found else 0.0


def _double(found: re.Match[str]) -> float:
    number = found["word"] or found["decimal"]
    value = float(number) if number else float.fromhex(found["hex"])
    return -value if found["sign"] == "-" else value


def _integer(text: str) -> int:
    found = _INTEGER.match(text)
    if not found:
        raise ValueError(f"'{text}' is not an integer")
    return int(found[1])


def _to_float32(value: float, text: str) -> float:
    try:
        (rounded,) = struct.unpack("<f", struct.pack("<f", value))
    except OverflowError as error:
        raise ValueError(f"'{text}' does not fit a float") from error
    if value and abs(rounded) < _FLOAT_MIN:
        raise ValueError(f"'{text}' is too small for a float")
    return float(rounded)

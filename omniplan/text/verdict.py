"""Verdicts in words, and the first line of whatever leaves something out: what is missing from its figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from omniplan.domain.footprint import Unpriced

UNKNOWN: Final = "not known"
FITS: Final = {True: "yes", False: "no", None: UNKNOWN}


def verdict_line(unpriced: Sequence[Unpriced], *, fits: bool | None) -> str:
    """What is missing, each with the flag or device that brings it in; empty where everything is priced."""
    if not unpriced:
        return ""
    verdict = "Does not fit" if fits is False else f"{UNKNOWN.capitalize()} whether it fits"
    return f"{verdict}; {left_out(unpriced)}"


def left_out(unpriced: Sequence[Unpriced]) -> str:
    """The same without a verdict."""
    return f"not counted: {', '.join(f'{item.what} ({item.subject})' for item in unpriced)}"


def headed(unpriced: Sequence[Unpriced], lines: Sequence[str], *, fits: bool | None = None) -> list[str]:
    """``lines`` below that line, where there is one."""
    line = verdict_line(unpriced, fits=fits)
    return [line, "", *lines] if line else [*lines]

"""Verdicts in words, and what is missing from figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from omniplan.domain.footprint import Unpriced
from omniplan.text.palette import Hue
from omniplan.text.screen import Passage, Prose, Toned

UNKNOWN: Final = "not known"
FITS: Final = {True: "yes", False: "no", None: UNKNOWN}
_SPANS: Final = {
    True: Toned("fits", Hue.GOOD),
    False: Toned("does not fit", Hue.BAD),
    None: Toned(f"{UNKNOWN} whether it fits", Hue.WARNING),
}


def verdict(fits: bool | None) -> Toned:
    """Whether it fits, inside a sentence."""
    return _SPANS[fits]


def headline(fits: bool | None) -> Toned:
    """The same where a sentence begins."""
    return replace(_SPANS[fits], text=_SPANS[fits].text.capitalize())


def fits_cell(fits: bool | None) -> Toned:
    """The same in a table."""
    return Toned(FITS[fits], _SPANS[fits].hue)


def verdict_line(unpriced: Sequence[Unpriced], *, fits: bool | None) -> str:
    """Both in one line; empty where everything is priced."""
    return f"{headline(fits).text}; {left_out(unpriced)}" if unpriced else ""


def left_out(unpriced: Sequence[Unpriced]) -> str:
    """What is missing from figures, each with the flag or device that brings it in."""
    return f"not counted: {', '.join(f'{item.what} ({item.subject})' for item in unpriced)}"


def unknown(unpriced: Sequence[Unpriced], *, fits: bool | None = None) -> Passage:
    """What a screen begins with where something is in no figure."""
    line = verdict_line(unpriced, fits=fits)
    return Passage([Prose(Toned(line, Hue.WARNING), hang=2)] if line else [])

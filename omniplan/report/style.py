"""The palette as the front end takes it: CSS custom properties for light, dark and paper, and the names of roles."""

from __future__ import annotations

import json
from typing import Final

from omniplan.text.palette import palette

_INKS: Final = ("#ffffff", "#16181b")


def palette_css() -> str:
    """``--hue-NAME`` of every role and ``--on-NAME``, what is written on it; dark where the reader's system says so."""
    light = "\n".join(_properties(name, row.light) for name, row in palette().items())
    dark = "\n".join(_properties(name, row.dark) for name, row in palette().items())
    return f":root {{\n{light}\n}}\n@media screen and (prefers-color-scheme: dark) {{\n:root {{\n{dark}\n}}\n}}\n"


def palette_labels() -> str:
    """What a legend calls each role, as JSON."""
    return json.dumps({str(name): row.label for name, row in palette().items()}, indent=2)


def _properties(name: str, colour: str) -> str:
    ink = max(_INKS, key=lambda ink: contrast(ink, colour))
    return f"  --hue-{name}: {colour}; --on-{name}: {ink};"


def contrast(one: str, other: str) -> float:
    """The contrast of two colours ``#rrggbb``, from 1 to 21 (WCAG 2.2, relative luminance)."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(int(colour[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)

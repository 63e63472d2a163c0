"""Rows of ``data/palette.toml``: one colour a role, on light and on dark, the same wherever something is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Annotated, Final

from omniplan.documents.column import Column, Name
from omniplan.documents.source import read_table

_FILE: Final = "palette.toml"

Colour = Annotated[str, Column(pattern="#[0-9a-f]{6}", example="#2a6291")]


class Hue(StrEnum):
    """What a colour stands for: what memory holds, what time is spent on, or what words say.

    ``PLAIN`` are words that say nothing of these, and has no row.
    """

    ATTENTION = "attention"
    CACHE = "cache"
    COMPUTE = "compute"
    DRIVER = "driver"
    EMBEDDING = "embedding"
    EXPERTS = "experts"
    FFN = "ffn"
    FREE = "free"
    MARGIN = "margin"
    RESERVED = "reserved"
    TAKEN = "taken"
    WEIGHTS = "weights"
    CPU = "cpu"
    GPU = "gpu"
    LINK = "link"
    BAD = "bad"
    COMMAND = "command"
    GOOD = "good"
    PLAIN = "plain"
    QUIET = "quiet"
    TITLE = "title"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class HueRow:
    """One role: what a legend calls it, and its colour on a ``light`` and on a ``dark`` background.

    ``terminal`` is the colour's name there, empty for what is not drawn there; ``sign`` fills a bar, ``plain`` where
    the characters of boxes are missing.
    """

    name: Name
    label: str
    light: Colour
    dark: Colour
    terminal: str = ""
    sign: str = ""
    plain: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Palette:
    hues: Mapping[Hue, HueRow]
    source: str


@cache
def palette() -> Mapping[Hue, HueRow]:
    """Every role's row."""
    return read_table(_FILE, _Palette).hues

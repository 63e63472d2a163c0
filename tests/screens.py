"""Screens as tests read them."""

from __future__ import annotations

from omniplan.text.layout import Look, text_of
from omniplan.text.screen import Level, Screen


def everything(screen: Screen, *, width: int = 10_000) -> str:
    """All that a screen says, each line on one."""
    return text_of(screen, Look(width=width, prose=width, level=Level.ALL))

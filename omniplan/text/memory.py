"""Memory as people see it: a line and a bar for every pool, and llama.cpp's own tables below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from omniplan.domain.footprint import Footprint
from omniplan.domain.headroom import Margin
from omniplan.domain.memory import MemoryShare, memory_shares
from omniplan.text.palette import Hue
from omniplan.text.screen import Cell, Gauge, Heading, Tabular, Toned
from omniplan.units import GIB

_PARTS: Final = (Hue.WEIGHTS, Hue.CACHE, Hue.COMPUTE, Hue.DRIVER, Hue.MARGIN)


def memory_table(priced: Footprint, margins: Sequence[Margin] = ()) -> Tabular:
    """A row and a bar for every pool in use, in GiB."""
    shares = list(memory_shares(priced, margins))
    has_margins = any(share.margin for share in shares)
    parts = [hue for hue in _PARTS if has_margins or hue is not Hue.MARGIN]
    columns = (
        Heading("GiB", is_left=True),
        Heading("of"),
        Heading("", rank=2),
        *(Heading(hue, rank=1 if hue in (Hue.DRIVER, Hue.MARGIN) else 0, hue=hue) for hue in parts),
        Heading(Hue.FREE),
    )
    return Tabular(columns, [_row(share, parts) for share in shares])


def _row(share: MemoryShare, parts: Sequence[Hue]) -> tuple[Cell, ...]:
    sizes = {hue: int(getattr(share, hue)) for hue in parts}
    # A pool of unknown size has no share that is taken.
    bar = Gauge([*sizes.items(), (Hue.FREE, max(0, share.free or 0))], share.size) if share.size else ""
    return share.pool, _gib(share.size), bar, *map(_gib, sizes.values()), _free(share.free)


def _free(size: int | None) -> Cell:
    return Toned(_gib(size), Hue.BAD) if size is not None and size < 0 else _gib(size)


def _gib(size: int | None) -> str:
    if size is None:
        return "?"
    if not size:
        return "-"
    value = size / GIB
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.1f}" if abs(value) >= 0.95 else f"{value:,.2f}"

"""The page docs/architectures.md, made from data/architectures.toml; run with --write to renew it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import fields
from typing import Final

from omniplan.gguf.model.architectures import ArchRow, MemoryKind, SwaRow, known, rows
from tests.contracts.sources import ROOT

PAGE: Final = ROOT / "docs" / "architectures.md"
_HEAD: Final = """\
<!-- Made by `python -m tests.contracts.architectures_page --write` from data/architectures.toml. -->
# Architectures

llama.cpp knows {n_known} architectures by name up to b11739. A header says most of what a plan needs; this table holds
what a loader hard-codes and a header may leave out, for {n_rows} of them. A header key beats a row. An architecture
without a row follows the general rule: a KV cache on every layer, no sliding window, nextn blocks loaded. One that
llama.cpp does not know is taken by the same rule, and whether it fits is not known.

The columns use the words of `data/architectures.toml`, which explains each.

| architecture | memory | sliding window | recurrent layers | besides |
|---|---|---|---|---|
"""
_LONG: Final = 4
_SHOWN: Final = ("swa", "recurrent", "interval", "memory", "source")


def page() -> str:
    """The whole page."""
    table = rows()
    lines = [_line(name, row) for name, row in sorted(table.items())]
    return _HEAD.format(n_known=len(known()), n_rows=len(table)) + "\n".join(lines) + "\n"


def _line(name: str, row: ArchRow) -> str:
    memory = "" if row.memory is MemoryKind.KV else str(row.memory)
    recurrent = f"{row.recurrent} {row.interval}" if row.interval else row.recurrent
    cells = (name, memory, ", ".join(_swa(row.swa)), recurrent, ", ".join(_besides(row)))
    return f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |")


def _swa(swa: SwaRow | None) -> Iterator[str]:
    if swa is None:
        return
    yield "every layer" if swa.period == 0 else f"period {swa.period}"
    yield from _set(swa, ("period",))


def _besides(row: ArchRow) -> Iterator[str]:
    yield from _set(row, _SHOWN)


def _set(row: ArchRow | SwaRow, skip: tuple[str, ...]) -> Iterator[str]:
    """Fields that differ from the general rule; flags by their name alone."""
    for field in fields(row):
        value = getattr(row, field.name)
        if field.name not in skip and value != field.default:
            yield field.name if value is True else f"{field.name} {_shown(value)}"


def _shown(value: object) -> object:
    """Short lists as they are, long ones by their length."""
    if not isinstance(value, tuple):
        return value
    return " ".join(map(str, value)) if len(value) < _LONG else f"({len(value)} tensors)"


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())

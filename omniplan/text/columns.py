"""Tables for a width: columns left out by rank, prose wrapped, bars drawn, and what is still too wide in parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Final

from omniplan.text.cells import Tones, toned, total, width, wrapped
from omniplan.text.palette import Hue, palette
from omniplan.text.screen import Cell, Gauge, Heading, Tabular, Toned

_GAP: Final = 2
# A bar is no shorter, nor longer on wide screens; prose is no narrower where it is wrapped.
_BAR: Final = (8, 48)
_PROSE: Final = 24
# Where even the first column and one other are too wide, cells are cut into pieces of at least this.
_LEAST: Final = 4


def narrowed(table: Tabular, columns: int) -> Tabular:
    """The table without the columns of highest rank, as many ranks as do not fit beside the others."""
    ranks = sorted({column.rank for column in table.columns}, reverse=True)
    for rank in ranks[:-1]:
        if _least(table) <= columns:
            break
        table = _only(table, [i for i, column in enumerate(table.columns) if column.rank < rank])
    return table


def table_lines(table: Tabular, columns: int, *, has_signs: bool) -> Iterator[Tones]:
    """The table as lines; what does not fit side by side stands below, with the first column once more."""
    part = [0]
    for index in range(1, len(table.columns)):
        if len(part) > 1 and _least(_only(table, [*part, index])) > columns:
            yield from _drawn(_only(table, part), columns, has_signs=has_signs)
            yield ()
            part = [0]
        part.append(index)
    yield from _drawn(_only(table, part), columns, has_signs=has_signs)


def _only(table: Tabular, kept: Sequence[int]) -> Tabular:
    return Tabular([table.columns[i] for i in kept], [[row[i] for i in kept] for row in table.rows])


def _least(table: Tabular) -> int:
    """Columns of the screen that it takes at least."""
    return sum(_widths(table)) + _GAP * (len(table.columns) - 1)


def _widths(table: Tabular) -> list[int]:
    """The least width of every column."""
    return [
        min(_widest(table, i), _PROSE) if column.is_prose else _widest(table, i)
        for i, column in enumerate(table.columns)
    ]


def _widest(table: Tabular, index: int) -> int:
    """The widest cell, or word of the heading, which is wrapped where it is longer than that."""
    cells = (row[index] for row in table.rows)
    sizes = (_BAR[0] if isinstance(cell, Gauge) else total(toned(cell)) for cell in cells)
    return max((*map(width, table.columns[index].name.split(" ")), *sizes))


def _sizes(table: Tabular, columns: int) -> list[int]:
    """The width of every column: bars and prose share what is left; what is too wide takes it from the widest."""
    sizes = _widths(table)
    left = columns - sum(sizes) - _GAP * (len(sizes) - 1)
    for index, column in enumerate(table.columns):
        is_bar = any(isinstance(row[index], Gauge) for row in table.rows)
        most = _BAR[1] if is_bar else max(width(column.name), _widest(table, index))
        more = max(0, min(left, most - sizes[index]))
        sizes[index] += more
        left -= more
    while left < 0 and max(sizes) > _LEAST:
        widest = sizes.index(max(sizes))
        sizes[widest] -= 1
        left += 1
    return sizes


def _drawn(table: Tabular, columns: int, *, has_signs: bool) -> Iterator[Tones]:
    sizes = _sizes(table, columns)
    heads = [_head(column) for column in table.columns]
    for row in (heads if any(head.text for head in heads) else (), *table.rows):
        cells = [_cell(cell, size, has_signs=has_signs) for cell, size in zip(row, sizes, strict=bool(row))]
        for pieces in zip_longest(*cells, fillvalue=()):
            yield _row(table.columns, pieces, sizes)


def _head(column: Heading) -> Toned:
    return Toned(column.name, Hue.TITLE if column.hue is Hue.PLAIN else column.hue)


def _cell(cell: Cell, size: int, *, has_signs: bool) -> list[Tones]:
    if isinstance(cell, Gauge):
        return [tuple(_bar(cell, size, has_signs=has_signs))]
    return wrapped(toned(cell), size, size)


def _bar(bar: Gauge, size: int, *, has_signs: bool) -> Iterator[Toned]:
    """Parts as signs, each up to where the parts so far end; what is beyond the whole is marked."""
    everything = max(bar.whole, sum(part for _, part in bar.parts), 1)
    limit, done, drawn = round(size * bar.whole / everything), 0, 0
    for hue, part in bar.parts:
        done += part
        end = round(size * done / everything)
        within = max(0, min(end, limit) - drawn)
        yield Toned(_sign(hue, has_signs=has_signs) * within, hue)
        yield Toned(_sign(Hue.BAD, has_signs=has_signs) * (end - drawn - within), Hue.BAD)
        drawn = end


def _sign(hue: Hue, *, has_signs: bool) -> str:
    row = palette()[hue]
    return row.sign if has_signs else row.plain


def _row(columns: Sequence[Heading], cells: Sequence[Tones], sizes: Sequence[int]) -> Tones:
    """Cells side by side, without blanks at the end."""
    line: list[Toned] = []
    for column, cell, size in zip(columns, cells, sizes, strict=True):
        fill = Toned(" " * (size - total(cell)))
        line += (
            (*cell, fill, Toned(" " * _GAP)) if column.is_left or column.is_prose else (fill, *cell, Toned(" " * _GAP))
        )
    while line and not line[-1].text.strip():
        line.pop()
    return tuple(item for item in line if item.text)

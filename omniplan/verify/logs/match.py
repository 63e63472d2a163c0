"""Which fact a line states, by the table of lines, at a cost that a log of any size can afford."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from omniplan.verify.logs.table import LogRow, log_rows

Values = Mapping[str, str]
Stated = tuple[str, Values]

# What JSON lines say in fields of their own.
_IN_FIELDS: Final = ('"commit"', '"fit_memory_breakdown"')
_MOST_REMEMBERED: Final = 20_000
_LONGEST_REMEMBERED: Final = 400


class LineMatcher:
    """Finds the fact in a line; lines that come again, as in the log of a server that restarts, are found at once."""

    def __init__(self) -> None:
        self._rows: tuple[tuple[LogRow, ...], ...] = tuple(log_rows().values())
        self._gates = (*log_rows(), *_IN_FIELDS)
        self._known: dict[str, Stated | None] = {}

    def gate(self, text: str) -> int:
        """The first gate that a line passes, -1 for a line that passes none and so states nothing."""
        for index, piece in enumerate(self._gates):
            if piece in text:
                return index
        return -1

    def stated(self, text: str, first: int = 0) -> Stated | None:
        """The fact in a line without its wrappers, with its values; an absent value is left out.

        ``first`` is the line's gate where it is known already.
        """
        if text in self._known:
            return self._known[text]
        found = self._find(text, first)
        if len(self._known) < _MOST_REMEMBERED and len(text) <= _LONGEST_REMEMBERED:
            self._known[text] = found
        return found

    def _find(self, text: str, first: int) -> Stated | None:
        for gate, rows in zip(self._gates[first:], self._rows[first:], strict=False):
            if gate not in text:
                continue
            for row in rows:
                if row.contains in text and len(text) <= row.longest and (match := row.pattern.search(text)):
                    return row.fact, {key: value for key, value in match.groupdict().items() if value is not None}
        return None

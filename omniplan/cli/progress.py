"""How far long work has come, on a terminal's stderr after half a second; nothing in a pipe or without rich."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from omniplan.domain.progress import Progress, unwatched

if TYPE_CHECKING:
    import rich.progress

# Who waits longer wants to know for what.
_PATIENCE: Final = 0.5


@contextmanager
def watched() -> Iterator[Progress]:
    """A callback whose reports a person sees: what, how far, how long so far and how much longer."""
    if not sys.stderr.isatty():
        yield unwatched
        return
    display = _Display()
    try:
        yield display.tell
    finally:
        display.close()


class _Display:
    """One line that is redrawn, once the work has taken long enough to say so, and is gone at its end."""

    def __init__(self) -> None:
        self._told: tuple[int, int, str] = (0, 0, "starting")
        self._lock = threading.Lock()
        self._is_closed = False
        self._bar: rich.progress.Progress | None = None
        self._timer = threading.Timer(_PATIENCE, self._show)
        self._timer.daemon = True
        self._timer.start()

    def tell(self, done: int, total: int, label: str) -> None:
        """Remember the report, and show it where the line is there."""
        self._told = (done, total, label)
        with self._lock:
            self._draw()

    def close(self) -> None:
        """Take the line away."""
        self._timer.cancel()
        with self._lock:
            self._is_closed = True
            if self._bar is not None:
                self._bar.stop()

    def _show(self) -> None:
        # Imported here, in the timer's own thread: quick work pays nothing for it.
        try:
            from rich import progress
            from rich.console import Console
        except ImportError:
            return
        columns = (
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(),
        )
        with self._lock:
            if not self._is_closed:
                self._bar = progress.Progress(*columns, console=Console(stderr=True), transient=True)
                self._bar.add_task("", total=None)
                self._draw()
                self._bar.start()

    def _draw(self) -> None:
        if self._bar is not None:
            done, total, label = self._told
            count = f"{label} {done}/{total}" if total else label
            self._bar.update(self._bar.task_ids[0], completed=done, total=total or None, description=count)

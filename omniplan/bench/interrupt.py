"""Signals that end a run: each raises KeyboardInterrupt, and none is lost where Python drops exceptions."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from omniplan import system


@contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """Let Ctrl-C, SIGTERM and SIGHUP raise KeyboardInterrupt, where signals are ours to handle.

    What it gives raises again if one has come: an exception raised while Python finalises a generator is only printed,
    so a loop that calls this ends nevertheless.
    """
    seen: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    def check() -> None:
        if seen:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    before = {number: signal.signal(number, interrupt) for number in system.ASKING}
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

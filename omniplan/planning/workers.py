"""Independent work on all cores: the results of doing it one after the other, sooner where there is enough of it.

Each helper is this interpreter once more, fed over its standard streams. It imports nothing but omniplan, so a script
without a ``__main__`` guard is not run again, and no process with threads is forked.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

from omniplan import system
from omniplan.domain.progress import Progress, told, unwatched

# Seconds after which help is called, and seconds of work that must be left by then: a helper takes one to get ready.
PATIENCE: Final = 0.4
PAYS: Final = 1.0
_PROGRAM: Final = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from omniplan.planning.workers import serve; serve()"
)

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")


def cores() -> int:
    """Processors that this process may use; one where no other process can be started."""
    if sys.platform in {"emscripten", "wasi"} or not sys.executable or getattr(sys, "frozen", False):
        return 1
    return len(system.processors()) or os.cpu_count() or 1


def in_order(
    work: Callable[[_Job], _Result],
    jobs: Sequence[_Job],
    progress: Progress = unwatched,
    named: Callable[[_Job], str] = str,
) -> list[_Result]:
    """``[work(job) for job in jobs]``, on all cores where that is sooner.

    ``work``, its jobs and its results must survive pickling to be shared; what ``work`` raises is raised here.
    ``progress`` is told of each job that is done here by what it is ``named``, and of how many are done anywhere.
    """
    n_helpers = min(cores(), len(jobs)) - 1
    if n_helpers < 1:
        return [work(job) for job in told([(named(job), job) for job in jobs], progress)]
    return _Shared(work, jobs).done(n_helpers, lambda done, job: progress(done, len(jobs), named(job)))


def serve() -> None:
    """Do what comes in until nothing does; what a helper's process runs."""
    come, go = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    # The end of its input, or work that fails: whoever waits does it again and says what is wrong.
    with suppress(Exception):
        work = pickle.load(come)  # noqa: S301 - from whoever started this.
        result = None
        while True:
            pickle.dump(result, go)
            go.flush()
            result = work(pickle.load(come))  # noqa: S301 - the same.


class _Shared(Generic[_Job, _Result]):
    """Jobs that are done here and by helpers, each of which takes its next when it has done one."""

    def __init__(self, work: Callable[[_Job], _Result], jobs: Sequence[_Job]) -> None:
        self._work = work
        self._jobs = jobs
        self._begun = time.monotonic()
        self._found: dict[int, _Result] = {}
        self._waiting = iter(range(len(jobs)))
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._idle: set[subprocess.Popen[bytes]] = set()
        self._busy: set[subprocess.Popen[bytes]] = set()

    def done(self, n_helpers: int, tell: Callable[[int, _Job], None]) -> list[_Result]:
        """The results in order; what a helper could not do is done here in the end."""
        helpers = [threading.Thread(target=self._help, daemon=True) for _ in range(n_helpers)]
        for helper in helpers:
            helper.start()
        try:
            while (index := self._next()) is not None:
                tell(len(self._found), self._jobs[index])
                self._found[index] = self._work(self._jobs[index])
            self._dismiss(self._idle)
            for helper in helpers:
                helper.join()
        finally:
            self._dismiss(self._idle | self._busy)
        known = self._found
        return [known[index] if index in known else self._work(job) for index, job in enumerate(self._jobs)]

    def _next(self, helper: subprocess.Popen[bytes] | None = None) -> int | None:
        """The next job nobody has taken."""
        with self._lock:
            index = None if self._over.is_set() else next(self._waiting, None)
            if helper and index is not None:
                self._idle.discard(helper)
                self._busy.add(helper)
        return index

    def _dismiss(self, helpers: set[subprocess.Popen[bytes]]) -> None:
        with self._lock:
            self._over.set()
            for helper in helpers:
                helper.kill()

    def _pays(self) -> bool:
        """Whether enough is left, judged by what was done until now."""
        with self._lock:
            took = (time.monotonic() - self._begun) / max(len(self._found), 1)
            return not self._over.is_set() and took * (len(self._jobs) - len(self._found)) > PAYS

    def _help(self) -> None:
        if self._over.wait(PATIENCE) or not self._pays():
            return
        command = [sys.executable, "-c", _PROGRAM]
        # A helper that dies, or work that fails in it: its job is done in the end where it fails in the open.
        # In a group of its own Ctrl-C does not reach it: whoever started it says how it ends.
        with (
            suppress(Exception),
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **system.group()) as helper,
        ):
            assert helper.stdin is not None
            try:
                with self._lock:
                    self._idle.add(helper)
                pickle.dump(sys.path, helper.stdin)
                self._tell(helper, self._work)
                while (index := self._next(helper)) is not None:
                    self._found[index] = self._tell(helper, self._jobs[index])
            finally:
                helper.kill()

    @staticmethod
    def _tell(helper: subprocess.Popen[bytes], said: object) -> Any:
        """What a helper answers."""
        assert helper.stdin is not None
        assert helper.stdout is not None
        pickle.dump(said, helper.stdin)
        helper.stdin.flush()
        return pickle.load(helper.stdout)  # noqa: S301 - a process of our own.

"""Processes and locks on Windows, which has neither process groups nor signals as others have them."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

# Type checkers read what follows for Windows alone.
assert sys.platform == "win32"

# What Ctrl-C and Ctrl-Break send; there is no terminal that hangs up.
ASKING: Final = (signal.SIGINT, signal.SIGBREAK)
# STD_OUTPUT_HANDLE and ENABLE_VIRTUAL_TERMINAL_PROCESSING of Windows' console functions.
_STDOUT: Final = -11
_CODES: Final = 4


def group() -> dict[str, Any]:
    """Arguments of ``Popen`` that make the process lead a group, so that Ctrl-Break reaches it and not us."""
    return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask ``process`` to end, as Ctrl-Break does."""
    with suppress(OSError):
        process.send_signal(signal.CTRL_BREAK_EVENT)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End ``process`` and what it started, at once (taskkill /T)."""
    tree = ["taskkill", "/T", "/F", "/PID", str(process.pid)]
    with suppress(OSError):
        subprocess.run(tree, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    with suppress(OSError):
        process.kill()


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock file at ``path``; raises BlockingIOError where another process does."""
    import msvcrt

    with path.open("w") as file:
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(error.errno, error.strerror) from error
        yield
        # A file that is open cannot be removed here.
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
    path.unlink(missing_ok=True)


def words(command: str) -> list[str]:
    """The words of a command that somebody wrote: a backslash stands in paths. Raises ValueError for an open quote."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.escape = lexer.commenters = ""
    return list(lexer)


def has_escapes() -> bool:
    """Whether the console of standard output obeys codes for colours; an older one is asked to (SetConsoleMode)."""
    import ctypes

    kernel = ctypes.windll.kernel32
    console, mode = kernel.GetStdHandle(_STDOUT), ctypes.c_ulong()
    return bool(
        kernel.GetConsoleMode(console, ctypes.byref(mode)) and kernel.SetConsoleMode(console, mode.value | _CODES)
    )

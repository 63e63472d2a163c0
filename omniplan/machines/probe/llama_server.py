"""Which build of llama.cpp the llama-server at hand is: ``--version`` of the one on PATH, or beside Python."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from threading import Event, Timer
from typing import Final

from omniplan import system
from omniplan.errors import InputError

PROGRAM: Final = "llama-server"
# It looks for GPUs first, which takes a driver that sleeps some seconds.
_PATIENCE: Final = 20.0
# It prints two lines, behind one for each GPU.
_MOST: Final = 1 << 16
_VERSION: Final = re.compile(r"^version: b?(\d{1,6})\b", re.MULTILINE)
# What a tree without its history calls itself (cmake/build-info.cmake).
_UNNUMBERED: Final = ("0", "1")


def find() -> str:
    """The path of llama-server, on PATH or in the folder of the Python that runs; raises InputError."""
    beside = shutil.which(PROGRAM, path=str(Path(sys.executable).parent))
    if found := shutil.which(PROGRAM) or beside:
        return found
    raise InputError(f"no {PROGRAM} on PATH; name a build such as b11434")


def version(program: str, *, patience: float = _PATIENCE) -> int:
    """The build that ``program --version`` prints within ``patience`` seconds; raises InputError."""
    text = _output(program, patience)
    found = _VERSION.search(text)
    if found is None or found[1] in _UNNUMBERED:
        said = "a build without a number" if found else "no 'version: N'"
        raise InputError(f"{program} --version says {said}; name a build such as b11434")
    return int(found[1])


def _output(program: str, patience: float) -> str:
    """The first of what it prints, to whichever end; whatever it started is stopped."""
    late = Event()
    try:
        process = subprocess.Popen(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **system.group(),
        )
    except OSError as error:
        raise InputError(f"{program} cannot be run: {error.strerror}") from error
    timer = Timer(patience, _give_up, (process, late))
    timer.start()
    with process:
        text = process.stdout.read(_MOST) if process.stdout else b""
        _stop(process)
        timer.cancel()
    if late.is_set():
        raise InputError(f"{program} --version does not answer within {patience:g} s; name a build such as b11434")
    return text.decode("utf-8", "replace")


def _give_up(process: subprocess.Popen[bytes], late: Event) -> None:
    late.set()
    _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    system.kill(process)

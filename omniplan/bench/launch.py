"""Starting a server in a process group of its own, and stopping all of it on every way out."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final

from omniplan import system
from omniplan.bench.client import Client
from omniplan.bench.protocol import ServerStart
from omniplan.domain.defaults import LOOPBACK
from omniplan.errors import InputError

_GRACE: Final = 10.0
_POLL: Final = 0.1


class StartFailed(Exception):
    """The server did not become ready; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A running server: its URL, the file its output goes to, and its process, which leads the group."""

    url: str
    log: Path
    process: subprocess.Popen[bytes]


def server_command(launch: ServerStart, port: int) -> list[str]:
    """The command to start; raises InputError where the program or the model file is not there."""
    words = program(launch.server, field="server")
    return [*words, "-m", model_file(launch), *launch.plan.server_args, "--host", LOOPBACK, "--port", str(port)]


def program(command: str, *, field: str) -> list[str]:
    """The words of ``command``, given as ``field``; raises InputError where there is no such program."""
    words = system.words(command)
    if not words or shutil.which(words[0]) is None:
        raise InputError("not found; name the command to start", field=field, value=command or "llama-server")
    return words


def model_file(launch: ServerStart) -> str:
    """The file that holds the plan's model; raises InputError where it is a header alone or not there."""
    if launch.plan.model.header_only and not launch.gguf:
        raise InputError(f"{launch.plan.model.path} is a header without tensors; name the model's file", field="gguf")
    model = launch.gguf or launch.plan.model.path
    if not Path(model).is_file():
        raise InputError("no such file; name the model's file", field="gguf", value=model)
    return model


def with_log(launch: ServerStart) -> ServerStart:
    """The same with a file for the server's output: a new temporary one where none is named."""
    return launch if launch.log else replace(launch, log=f"{tempfile.mkdtemp(prefix='omniplan-bench-')}/server.log")


def free_port() -> int:
    """A TCP port of this host that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@contextmanager
def launched(launch: ServerStart) -> Iterator[Started]:
    """The plan's server, started; its whole process group is stopped on leaving, by whatever way.

    Its output goes to ``launch.log``. Raises InputError when it cannot be started at all.
    """
    port = free_port()
    command = server_command(launch, port)
    with _opened(launch.log) as log, running(command, launch.plan.environment, log) as process:
        yield Started(url=f"http://{LOOPBACK}:{port}", log=Path(launch.log), process=process)


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], log: BinaryIO, output: BinaryIO | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """``command`` in a process group of its own, which is stopped on leaving, by whatever way.

    What it prints goes to ``output``, else to ``log`` with its errors. Raises InputError when it cannot be started.
    """
    process = _start(command, environment, log, output or log)
    try:
        yield process
    finally:
        stop(process)


def _opened(path: str) -> BinaryIO:
    try:
        return Path(path).open("wb")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error


def _start(
    command: Sequence[str], environment: Mapping[str, str], log: BinaryIO, output: BinaryIO
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=log,
            env={**os.environ, **environment},
            **system.group(),
        )
    except OSError as error:
        raise InputError(f"{command[0]}: cannot be started: {error.strerror}") from error


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the process group that ``process`` leads: asked first, then killed."""
    try:
        system.end(process)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
    finally:
        system.kill(process)
        process.wait()


def wait_ready(client: Client, started: Started, limit: float, stop_if_asked: Callable[[], None]) -> None:
    """Return once the server is ready; raises StartFailed when it ends or ``limit`` seconds pass before."""
    end = time.monotonic() + limit
    while (state := client.state()) != "ready":
        stop_if_asked()
        if (code := started.process.poll()) is not None:
            raise StartFailed(f"the server ended with code {code} before it was ready: {last_line(started.log)}")
        if time.monotonic() > end:
            raise StartFailed(f"the server was not ready within {limit:g} s: {state}")
        time.sleep(_POLL)


def last_line(log: Path) -> str:
    """The last words of a program that ended."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = file.read().decode("utf-8", "replace").split("\n")
    return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "its log is empty")

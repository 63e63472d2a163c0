"""What systems do differently: this one for real, Windows with the calls that it would be asked for."""

from __future__ import annotations

import importlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from omniplan import system

SLEEP = "import time; time.sleep(60)"
# Starts a process that outlives it unless the whole group ends.
FAMILY = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {SLEEP!r}]).pid, flush=True); {SLEEP}"


def is_running(pid: int) -> bool:
    """Whether a process is there, and not only its number."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("stop", [system.end, system.kill])
def test_a_group_ends_as_one(stop: Any) -> None:
    """What a server started ends with it."""
    with subprocess.Popen([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, **system.group()) as process:
        assert process.stdout
        child = int(process.stdout.readline())

        stop(process)
        process.wait(10)

        deadline = time.monotonic() + 10
        while is_running(child) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not is_running(child)
        stop(process)


def test_a_lock_is_held_once(tmp_path: Path) -> None:
    """A second holder is told at once, and afterwards it is free."""
    lock = tmp_path / "lock"

    with system.held(lock), pytest.raises(BlockingIOError), system.held(lock):
        pass
    with system.held(lock):
        pass

    assert not lock.exists()


def test_what_processors_are_allowed() -> None:
    """Some are, the thread can be bound to one, and the load is no negative number."""
    allowed = system.processors()

    assert allowed
    for processor in allowed:
        system.bind(processor)
        break
    for processor in allowed:
        system.bind(processor)
    assert (system.load_average() or 0.0) >= 0
    assert system.ticks() > 0


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {}, ".cache/omniplan"),
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/omniplan"),
        ("darwin", {"XDG_CACHE_HOME": "/x"}, "Library/Caches/omniplan"),
        ("win32", {}, "AppData/Local/omniplan"),
        ("win32", {"LOCALAPPDATA": "/l"}, "/l/omniplan"),
    ],
)
def test_folders_follow_the_system(
    platform: str, environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the variable, else by the usual place under the home folder."""
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)

    found = system.folder(system.CACHE)

    assert found.is_absolute()
    assert str(found).replace("\\", "/").endswith(expected)


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {}, system.Shell.POSIX),
        ("darwin", {}, system.Shell.POSIX),
        ("emscripten", {}, system.Shell.POSIX),
        ("win32", {}, system.Shell.POWERSHELL),
        ("win32", {"MSYSTEM": "MINGW64"}, system.Shell.POSIX),
    ],
)
def test_the_shell_that_a_person_types_to(platform: str, environment: dict[str, str], expected: system.Shell) -> None:
    """PowerShell on Windows, but for Git Bash, which says so."""
    assert system.shell_of(platform, environment) is expected


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module for Windows, where Windows' own names are there."""
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(signal, "SIGBREAK", 21, raising=False)
    monkeypatch.setattr(signal, "CTRL_BREAK_EVENT", 1, raising=False)
    monkeypatch.setattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 512, raising=False)
    yield importlib.import_module("omniplan.system.windows")
    sys.modules.pop("omniplan.system.windows", None)


def test_windows_ends_a_tree(windows: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-Break asks; taskkill takes what it started with it."""
    told: list[Any] = []
    process = SimpleNamespace(pid=7, send_signal=told.append, kill=lambda: told.append("kill"))
    monkeypatch.setattr(subprocess, "run", lambda command, **_: told.append(command))

    windows.end(process)
    windows.kill(process)

    assert told == [1, ["taskkill", "/T", "/F", "/PID", "7"], "kill"]
    assert windows.group() == {"creationflags": 512}


def test_windows_locks_a_byte(windows: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A lock that somebody holds is said in the same words as elsewhere."""
    held: list[int] = []

    def locking(_file: int, mode: int, _size: int) -> None:
        if mode == 1 and held:
            raise OSError(13, "Permission denied")
        held.append(mode)
        if mode == 0:
            held.clear()

    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=1, LK_UNLCK=0))

    with windows.held(tmp_path / "lock"), pytest.raises(BlockingIOError), windows.held(tmp_path / "lock"):
        pass

    assert not held


def test_words_of_a_command() -> None:
    """As a shell here reads them."""
    assert system.words("a 'b c' d") == ["a", "b c", "d"]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (r"C:\llama\llama-server.exe -ngl 99", [r"C:\llama\llama-server.exe", "-ngl", "99"]),
        (
            r'"C:\Program Files\llama-server.exe" --api-key "#1"',
            [r"C:\Program Files\llama-server.exe", "--api-key", "#1"],
        ),
    ],
)
def test_windows_keeps_a_backslash(windows: ModuleType, command: str, expected: list[str]) -> None:
    """It stands between folders, and escapes nothing."""
    assert windows.words(command) == expected


@pytest.mark.parametrize(("is_console", "obeys", "expected"), [(1, 1, True), (1, 0, False), (0, 1, False)])
def test_windows_asks_its_console_for_colours(
    is_console: int, obeys: int, expected: object, windows: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that cannot show them gets none."""
    import ctypes

    asked: list[tuple[int, int]] = []

    def set_mode(console: int, mode: int) -> int:
        asked.append((console, mode))
        return obeys

    kernel = SimpleNamespace(
        GetStdHandle=lambda which: -which, GetConsoleMode=lambda _console, _mode: is_console, SetConsoleMode=set_mode
    )
    monkeypatch.setattr(ctypes, "windll", SimpleNamespace(kernel32=kernel), raising=False)

    assert windows.has_escapes() is expected
    assert asked == [(11, 4)] * is_console

"""What a person sees of long work, and how it ends that is broken off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from omniplan.planning import workers

ROOT = Path(__file__).parents[3]
MODEL = "data/models/DeepSeek-R1-Q4_K_M.gguf"
pty = pytest.importorskip("pty", reason="no pseudo-terminals here")

WATCHED = """
import sys, time
from omniplan.cli.progress import watched
with watched() as progress:
    for done in range(3):
        progress(done, 3, "planning Q4_K_M")
        time.sleep({seconds})
"""


def shown(code: str) -> str:
    """What ``code`` writes to a terminal that is its stderr."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", code], stderr=theirs, cwd=ROOT):
        os.close(theirs)
        found = b""
        try:
            while part := os.read(ours, 4096):
                found += part
        except OSError:  # Linux says so where the other end is closed.
            pass
    os.close(ours)
    return found.decode()


def test_long_work_says_what_and_how_far() -> None:
    """On a terminal, and the line is gone at the end."""
    said = shown(WATCHED.format(seconds=0.4))

    assert "planning Q4_K_M 2/3" in said
    assert said.endswith("\x1b[2K")


def test_quick_work_says_nothing() -> None:
    assert shown(WATCHED.format(seconds=0)) == ""


def test_a_pipe_is_told_nothing() -> None:
    code = WATCHED.format(seconds=0.25)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    assert (done.stdout, done.stderr) == ("", "")


IMPORTING = """
import sys
class Interrupted:
    def find_spec(self, name, *_):
        if name.startswith("omniplan."):
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
from omniplan_command import entry
entry()
"""


def test_ctrl_c_while_importing_is_one_line() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTING], capture_output=True, text=True, check=False, cwd=ROOT)

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "omniplan: interrupted\n")


def test_ctrl_c_while_helpers_work_is_one_line() -> None:
    """Neither they nor their imports say anything."""
    if workers.cores() < 2:
        pytest.skip("one processor has no helpers")
    words = [sys.executable, "-m", "omniplan", "recommend", MODEL, "--machine", "omni-nps1"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        if not children.exists():
            process.kill()
            pytest.skip("no /proc here to see helpers")
        while not helpers_of(process.pid) and process.poll() is None:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)

    assert (process.returncode, said) == (130, "omniplan: interrupted\n")


def helpers_of(pid: int) -> str:
    """Processes that any thread of a process started."""
    return "".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))

"""How a run ends that nobody reads, that has nowhere to write, or that is broken off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from omniplan import api
from omniplan.cli import main as command
from omniplan.documents.whole_file import write_whole
from omniplan.errors import ExitCode, OutputError

ROOT = Path(__file__).parents[3]
TINY = str(ROOT / "tests" / "data" / "models" / "archs" / "llama-dense.gguf")
FOOTPRINT = ["footprint", TINY, "--machine", "single-3090", "--", "-c", "4096"]
TOO_LARGE = ["footprint", TINY, "--machine", "single-3090", "--", "-c", "100000000"]
HELP = ["plan", "--help"]
FULL = Path("/dev/full")

needs_full = pytest.mark.skipif(not FULL.is_char_device(), reason="no /dev/full here")


def run(args: Sequence[str], stdout: int) -> tuple[int, str]:
    """Exit code and standard error of the command."""
    words = [sys.executable, "-m", "omniplan.cli.main", *args]
    done = subprocess.run(words, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    return done.returncode, done.stderr


@pytest.mark.parametrize(("args", "code"), [(FOOTPRINT, 0), (TOO_LARGE, 1), (HELP, 0)], ids=["fits", "short", "help"])
def test_a_reader_that_went_away_changes_no_verdict(args: Sequence[str], code: int) -> None:
    """Nothing is said about it, and what was found out is still the exit code."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert run(args, writing) == (code, "")
    finally:
        os.close(writing)


@needs_full
@pytest.mark.parametrize("args", [FOOTPRINT, TOO_LARGE, HELP], ids=["fits", "short", "help"])
def test_a_full_disk_is_one_line(args: Sequence[str]) -> None:
    """Whatever the verdict: nobody has read it."""
    with FULL.open("wb") as full:
        code, said = run(args, full.fileno())

    assert (code, said) == (ExitCode.OUTPUT, "omniplan: standard output: No space left on device\n")


@needs_full
def test_bad_input_needs_no_disk() -> None:
    """It is told as what it is: nothing was to be written."""
    with FULL.open("wb") as full:
        code, said = run(["footprint"], full.fileno())

    assert (code, said.count("\n")) == (ExitCode.INPUT, 1)


@needs_full
def test_a_file_on_a_full_disk() -> None:
    """No bad input; and a device that is written to stays what it is."""
    with pytest.raises(OutputError, match="No space left"):
        write_whole(FULL, "text")

    assert FULL.is_char_device()


def test_an_interrupt_is_no_verdict(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a traceback nor a code that means something else."""

    def interrupted(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(api, "footprint", interrupted)

    assert command.main(FOOTPRINT) == ExitCode.INTERRUPTED
    assert capsys.readouterr() == ("", "omniplan: interrupted\n")

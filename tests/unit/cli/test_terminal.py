"""What people see: on terminals of several widths, in pipes, with and without colours."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import io
import os
import struct
import termios
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import omniplan
from omniplan.cli.main import main
from omniplan.domain.lever import Lever
from omniplan.domain.plan import Plan
from omniplan.planning.text_plan import plan_screen
from omniplan.text.cells import width
from omniplan.text.layout import Look, text_of

ROOT = Path(__file__).parents[3]
TINY = "tests/data/models/archs/llama-dense.gguf"
ON = ["--machine", "single-3090"]
ARGS = ["--", "-c", "4096", "-ngl", "99"]
MODELS = ("DeepSeek-V4-Flash-MXFP4", "Qwen3-235B-A22B-Q4_K_M")
MACHINES = ("omni-nps1", "quad-3090")
# Every verb that shows a screen, quick ones; with a model that does not fit, too.
SCREENS = {
    "plan": ["plan", TINY, *ON, "--no-baselines"],
    "refusal": ["plan", "data/models/DeepSeek-R1-Q4_K_M.gguf", *ON, "--no-baselines"],
    "footprint": ["footprint", TINY, *ON, *ARGS],
    "short": ["footprint", TINY, *ON, "--", "-c", "100000000"],
    "fit": ["fit", TINY, *ON, *ARGS],
    "compare": ["compare", TINY, *ON, *ARGS, "--", "-cmoe"],
    "frontier": ["frontier", TINY, *ON, "--ctx", "4096", "--ubatch", "512"],
    "recommend": ["recommend", TINY, *ON, "--ctx", "4096", "--what-if-quant", "Q4_K_M"],
    "inspect": ["inspect", TINY],
    "machines": ["machines"],
    "check": ["check", "--", "-m", "model.gguf", "-c", "8k", "-b", "2048", "-ub", "2048", "-fa"],
    "verify": ["verify", "examples/logs/glm-served.log"],
    "engines": ["engines", "data/models/GLM-4.7-Flash-Q8_0.gguf", *ON],
}


@contextlib.contextmanager
def terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Standard output and error are a terminal of so many columns; what it showed is in the list at the end."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    shown: list[str] = []
    reader = threading.Thread(target=lambda: shown.append(_all(ours)))
    reader.start()
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.chdir(ROOT)
    try:
        with open(theirs, "w", encoding="utf-8") as stream:
            monkeypatch.setattr("sys.stdout", stream)
            monkeypatch.setattr("sys.stderr", stream)
            yield shown
    finally:
        monkeypatch.undo()
        reader.join()
        os.close(ours)


def _all(descriptor: int) -> str:
    parts = []
    # A terminal whose other end is closed fails to read on Linux.
    with contextlib.suppress(OSError):
        while part := os.read(descriptor, 65536):
            parts.append(part)
    return b"".join(parts).decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("verb", SCREENS)
def test_a_first_screen_is_as_wide_as_the_terminal(verb: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is wider, and colours change no word."""
    monkeypatch.setenv("NO_COLOR", "1")
    with terminal(columns, monkeypatch) as shown:
        main(SCREENS[verb])

    assert "\x1b" not in shown[0]
    assert [line for line in shown[0].splitlines() if width(line) > columns] == []


def test_a_terminal_has_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it is dumb, or somebody wants none; what stands there is the same."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    with terminal(80, monkeypatch) as colored:
        main(SCREENS["footprint"])
    with terminal(80, monkeypatch) as plain:
        main([*SCREENS["footprint"][:4], "--color", "never", *ARGS])

    from rich.text import Text

    assert "\x1b[" in colored[0]
    assert "\x1b" not in plain[0]
    assert Text.from_ansi(colored[0]).plain.split() == plain[0].split()


@pytest.mark.parametrize("verb", SCREENS)
def test_a_pipe_is_plain(verb: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """No code of a terminal in it, and 80 columns but for records and words that are one."""
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    main(SCREENS[verb])
    out = capfd.readouterr().out

    assert not [char for char in out if char < " " and char != "\n"]
    assert [line for line in out.splitlines() if width(line) > 80 and verb != "check"] == []


@pytest.mark.parametrize(("name", "is_colored"), [("NO_COLOR", False), ("FORCE_COLOR", True)])
def test_the_environment_is_asked(
    name: str, is_colored: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """NO_COLOR and FORCE_COLOR, and --color before either."""
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv(name, "1")
    main(SCREENS["inspect"])
    assert ("\x1b[" in capsys.readouterr().out) is is_colored

    main([*SCREENS["inspect"], "--color", "never" if is_colored else "always"])
    assert ("\x1b[" in capsys.readouterr().out) is not is_colored


def test_an_encoding_without_boxes_gets_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bars of ASCII, and nothing that cannot be written."""
    monkeypatch.chdir(ROOT)
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))
    assert main(SCREENS["footprint"]) == 0

    assert b"GiB" in raw.getvalue()


@functools.cache
def plans() -> tuple[tuple[str, Plan], ...]:
    """Shipped models on shipped machines that hold them, those whose commands or memories take most lines."""
    loaded = {name: omniplan.load_model(ROOT / f"data/models/{name}.gguf") for name in MODELS}
    return tuple(
        (f"{name} on {machine}", omniplan.plan(model, machine, baselines=False))
        for name, model in loaded.items()
        for machine in MACHINES
    )


@pytest.mark.parametrize("columns", [80, 120])
def test_the_first_screen_of_a_plan_is_short(columns: int) -> None:
    """Fewer than 25 lines, with levers to pull."""
    for pair, plan in plans():
        speed = plan.prediction
        lever = Lever(
            field="n_ubatch",
            value="2048",
            decode_tokens_per_second=speed.decode_tokens_per_second,
            prompt_tokens_per_second=speed.prompt_tokens_per_second,
            request_seconds=speed.request_seconds,
        )
        lines = text_of(plan_screen(replace(plan, levers=(lever,) * 3)), Look(width=columns, more="-v")).splitlines()

        assert len(lines) < 25, pair
        assert max(map(width, lines)) <= columns

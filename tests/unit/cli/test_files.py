"""Where answers go, and standard input in the place of a file."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from omniplan.cli.main import main
from tests.contracts.sources import ROOT
from tests.refusals import check_refused

Run = pytest.CaptureFixture[str]

TINY = str(ROOT / "tests" / "data" / "models" / "archs" / "llama-dense.gguf")
PLAN = ["plan", TINY, "--machine", "single-3090", "--ctx", "512", "--no-baselines"]


def given(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put ``text`` on standard input."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def printed(argv: list[str], capsys: Run, code: int = 0) -> str:
    assert main(argv) == code
    return capsys.readouterr().out


@pytest.mark.parametrize("name", ["argv", "shell", "models.conf", "preset", "llama-swap", "compose", "systemd", "k8s"])
def test_a_plan_is_written_as_a_file_in_one_step(name: str, capsys: Run, tmp_path: Path) -> None:
    """The very file that emit makes of the plan's JSON."""
    saved = tmp_path / "plan.json"
    saved.write_text(printed([*PLAN, "--json"], capsys))

    assert printed([*PLAN, "--as", name], capsys) == printed(["emit", str(saved), "--as", name], capsys)


def test_a_plan_goes_into_a_file_that_is_there(capsys: Run, tmp_path: Path) -> None:
    """Nothing else of it changes."""
    preset = tmp_path / "models.ini"
    preset.write_text("; mine\n[other]\nctx-size = 512\n")
    assert printed([*PLAN, "--as", "preset", "--section", "tiny", "--into", str(preset)], capsys) == ""

    assert preset.read_text().startswith("; mine\n[other]\nctx-size = 512\n")
    assert "[tiny]" in preset.read_text()


def test_a_file_is_written_over_only_by_force(capsys: Run, tmp_path: Path) -> None:
    """It is refused before the work, and the old file is whole."""
    path = tmp_path / "plan.json"
    assert printed([*PLAN, "--json", "-o", str(path)], capsys) == ""
    before = path.read_text()

    check_refused([*PLAN, "-o", str(path)], "--force", capsys)
    assert path.read_text() == before
    printed([*PLAN, "-o", str(path), "--force"], capsys)
    assert path.read_text() != before


def test_a_dash_is_standard_output(capsys: Run) -> None:
    assert printed([*PLAN, "--json", "-o", "-"], capsys) == printed([*PLAN, "--json"], capsys)


def test_a_dash_is_standard_input(capsys: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans, machines in either form, and configurations."""
    plan, machine = printed([*PLAN, "--json"], capsys), printed(["machine", "RTX 3090, 64 GB"], capsys)
    given(plan, monkeypatch)
    assert "llama-server" in printed(["emit", "-"], capsys)

    for text in (machine, printed(["machine", "RTX 3090, 64 GB", "--json"], capsys)):
        given(text, monkeypatch)
        assert "CUDA0" in printed(["footprint", TINY, "--machine", "-", "--", "-c", "512", "-ngl", "99"], capsys)

    given(f"llama-server -m {TINY} --flash-atn\n", monkeypatch)
    assert "--flash-atn" in printed(["check", "-"], capsys, 1)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--into", "x"], "--as"),
        (["--as", "shell", "--json"], "--json"),
        (["--as", "shell", "--into", "a", "-o", "b"], "give one of them"),
    ],
)
def test_what_does_not_go_together_is_refused(more: list[str], says: str, capsys: Run) -> None:
    check_refused([*PLAN, *more], says, capsys)

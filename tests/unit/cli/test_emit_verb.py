"""The emit verb: only the artefact on stdout, files replaced as a whole."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from omniplan.cli.main import main
from omniplan.formats.registry import FORMATS
from tests.launches import GLM, plan_of


@pytest.fixture
def plan(tmp_path: Path) -> str:
    path = tmp_path / "plan.json"
    path.write_text(plan_of(GLM.stem, "dual-4090-5070ti").to_json())
    return str(path)


def test_stdout_is_the_artefact(plan: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The arguments alone can be piped; what must be set beside them is told on stderr."""
    assert main(["emit", plan, "--as", "argv"]) == 0
    out, err = capsys.readouterr()

    assert out.startswith("-m\n")
    assert out.splitlines()[2:4] == ["-c", "131072"]
    assert "CUDA_VISIBLE_DEVICES=0,1" in err
    assert main(["emit", plan]) == 0
    assert shlex.split(capsys.readouterr().out.splitlines()[-1])[2] == "llama-server"


def test_into_replaces_the_file_as_a_whole(plan: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bytes that are no text stay, permissions stay, nothing is printed, and nothing is left beside it."""
    conf = tmp_path / "models.conf"
    before = b"# caf\xe9\r\n[a]\r\nMODEL=x\r\n"
    conf.write_bytes(before)
    conf.chmod(0o640)

    assert main(["emit", plan, "--as", "models.conf", "--into", str(conf), "--section", "glm"]) == 0
    assert conf.read_bytes().startswith(before + b"\r\n# omniplan ")
    assert conf.stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir(tmp_path)) == ["models.conf", "plan.json"]
    assert capsys.readouterr().out == ""


def test_into_makes_a_file_that_is_not_there(plan: str, tmp_path: Path) -> None:
    """The first model of a file begins it."""
    preset = tmp_path / "presets.ini"

    assert main(["emit", plan, "--as", "preset", "--into", str(preset)]) == 0
    assert preset.read_text().startswith("version = 1\n")


def test_output_writes_a_file(plan: str, tmp_path: Path) -> None:
    unit = tmp_path / "glm.service"

    assert main(["emit", plan, "--as", "systemd", "--model", "/srv/models/glm.gguf", "-o", str(unit)]) == 0
    assert "ExecStart=llama-server -m /srv/models/glm.gguf" in unit.read_text()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--as", "nonsense"],
        ["--into", "a", "-o", "b"],
        ["--llama-cpp", "b7500"],
        ["--as", "argv", "--model", "a\nb"],
        ["--as", "preset", "--model", "/srv/a;b.gguf"],
        ["-o", "/no/such/folder/x"],
    ],
)
def test_bad_input_is_one_line_and_code_two(
    plan: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["emit", plan, *arguments]) == 2
    out, err = capsys.readouterr()

    assert out == ""
    assert [line for line in err.splitlines() if line.startswith("omniplan: ")] == err.splitlines()
    assert len(err.splitlines()) == 1


def test_help_names_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["emit", "--help"])
    text = " ".join(capsys.readouterr().out.split()).replace("- ", "-")

    assert [name for name in FORMATS if name not in text] == []

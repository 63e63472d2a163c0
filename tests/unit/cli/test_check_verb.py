"""The verb: exit codes, one-line errors, JSON that keeps its schema, and nothing but the diff with --fix."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from omniplan.api.documents import schema
from omniplan.cli.main import main

Run = pytest.CaptureFixture[str]


@pytest.mark.parametrize(("args", "code"), [(["-c", "512", "-np", "1"], 0), (["-c", "512"], 0), (["-c", "8k"], 1)])
def test_codes(args: list[str], code: int, capsys: Run) -> None:
    """0 when nothing is above info, 1 otherwise."""
    assert main(["check", "--", *args]) == code
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["nowhere.sh"],
        ["run.sh", "--", "-c", "512"],
        ["--machine", "nowhere", "--", "-c", "512"],
        ["--model", "nowhere.gguf", "--", "-c", "512"],
        ["broken.yaml"],
    ],
)
def test_bad_input_is_one_line_and_2(
    argv: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Run
) -> None:
    """Nothing on stdout, one line on stderr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.sh").write_text("llama-server -c 512\n")
    (tmp_path / "broken.yaml").write_text("models:\n  a: [\n")

    assert main(["check", *argv]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1


def test_json_keeps_its_schema(capsys: Run) -> None:
    """As `omniplan schema check` says it."""
    assert main(["check", "--json", "--", "-c", "8k"]) == 1

    report = json.loads(capsys.readouterr().out)
    jsonschema.validate(report, schema("check"))
    assert [finding["rule"] for finding in report["findings"] if finding["severity"] == "warning"] == [
        "number-with-suffix"
    ]


def test_fix_prints_the_diff_and_nothing_else(tmp_path: Path, capsys: Run) -> None:
    """Nothing at all where nothing can be mended; the file itself stays as it is."""
    path = tmp_path / "run.sh"
    path.write_text("llama-server -m a -c 8k -np 1\n")

    assert main(["check", str(path), "--fix"]) == 1
    assert capsys.readouterr().out.splitlines()[3:] == [
        "-llama-server -m a -c 8k -np 1",
        "+llama-server -m a -c 8192 -np 1",
    ]
    assert path.read_text() == "llama-server -m a -c 8k -np 1\n"

    assert main(["check", "--fix", "--", "-c", "512"]) == 0
    assert capsys.readouterr().out == ""

"""A folder of configurations, and what other programs take of its findings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from omniplan.cli.main import main
from tests.contracts.sources import ROOT

Run = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two scripts, one of them in a folder, a page that only speaks of llama.cpp, and what is not looked at."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "start.sh").write_text("llama-server -m a -c 8k -np 1\n")
    (tmp_path / "good.sh").write_text("llama-server -m a -c 8192 -np 1\n")
    (tmp_path / "page.md").write_text("about llama-server\n")
    (tmp_path / "other.py").write_text("print('no model here')\n")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "hook.sh").write_text("llama-server -m a -c 8k\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_a_folder_is_walked(capsys: Run) -> None:
    """Every file that speaks of llama.cpp, and a summary; one that only does so is named and fails nothing."""
    assert main(["check", "."]) == 1
    text = capsys.readouterr().out

    assert "a/start.sh:1: warning: -c 8k is read as 8 (number-with-suffix)" in text
    assert "no command could be read: page.md:1" in text
    assert text.endswith(".: 1 warning(s) (2 command(s) in 3 file(s))\n")
    assert main(["check", "good.sh", "page.md"]) == 0


@pytest.mark.usefixtures("folder")
def test_findings_for_other_programs(capsys: Run) -> None:
    """JSON, annotations and SARIF say the same places."""
    main(["check", ".", "--format", "json"])
    (found,) = [item for report in json.loads(capsys.readouterr().out)["reports"] for item in report["findings"]]
    main(["check", ".", "--format", "github"])
    line = capsys.readouterr().out
    main(["check", ".", "--format", "sarif"])
    (result,) = json.loads(capsys.readouterr().out)["runs"][0]["results"]

    assert line.startswith(f"::warning file={found['file']},line={found['line']},title={found['rule']}::")
    assert result["locations"][0]["physicalLocation"]["region"]["startLine"] == found["line"]
    assert (result["ruleId"], result["level"]) == (found["rule"], "warning")


def test_what_is_accepted_is_left_out(folder: Path, capsys: Run) -> None:
    """A baseline holds while lines move, and what comes after it is found."""
    assert main(["check", ".", "--write-baseline", "accepted.json"]) == 1
    script = folder / "a" / "start.sh"
    script.write_text("# moved\n" + script.read_text())
    assert main(["check", ".", "--baseline", "accepted.json"]) == 0
    script.write_text(script.read_text().replace("-np 1", "-np 1 -fa"))
    assert main(["check", ".", "--baseline", "accepted.json"]) == 1
    assert main(["check", ".", "--baseline", "good.sh"]) == 2
    assert "baseline: expected" in capsys.readouterr().err


def test_the_hook_is_the_command() -> None:
    """What pre-commit reads of the repository calls the verb on files."""
    (hook,) = YAML(typ="safe").load((ROOT / ".pre-commit-hooks.yaml").read_text())

    assert (hook["entry"], hook["language"], hook["pass_filenames"]) == ("omniplan check", "python", True)

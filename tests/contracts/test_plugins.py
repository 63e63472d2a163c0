"""Rules and formats of other packages: installed by pip as anybody's are, used, and named where they are broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import omniplan
from omniplan.errors import InputError
from tests.contracts.sources import ROOT
from tests.refusals import check_one_line

PLUGINS = ROOT / "examples/plugins"
MODEL = str(ROOT / "tests/data/models/archs/llama-dense.gguf")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both examples, as pip puts them there."""
    target = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    packages = [str(PLUGINS / "house_rules"), str(PLUGINS / "procfile")]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", target, *packages], check=True)
    return target


def run(site: Path, *argv: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
    """The command where ``site`` is among the installed packages."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(site), str(ROOT)))}
    command = [sys.executable, "-c", "from omniplan.cli.main import entry; entry()", *argv]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, input=input)


def test_a_rule_of_another_package_is_asked(installed: Path) -> None:
    """With its row's severity and words; without the package nobody asks it."""
    arguments = ["check", "--json", "--", "-m", "x.gguf", "--host", "0.0.0.0"]  # noqa: S104 - what is warned of

    with_rule = json.loads(run(installed, *arguments).stdout)["findings"]
    without = json.loads(run(ROOT / "docs", *arguments).stdout)["findings"]

    (found,) = (finding for finding in with_rule if finding["rule"] == "open-port")
    assert (found["severity"], found["message"]) == ("warning", "--host 0.0.0.0 lets everybody in")
    assert [finding for finding in with_rule if finding != found] == without


def test_a_format_of_another_package_is_written_and_read(installed: Path, tmp_path: Path) -> None:
    """``emit --as`` knows its name, and ``check`` reads its files, each finding on its line."""
    plan, procfile = tmp_path / "plan.json", tmp_path / "Procfile"
    made = run(installed, "plan", MODEL, "--machine", "single-3090", "--ctx", "4096", "--no-baselines", "--json")
    plan.write_text(made.stdout)
    emitted = run(installed, "emit", str(plan), "--as", "procfile", "--section", "tiny")
    procfile.write_text(f"web: python -m http.server\n{emitted.stdout}bad: llama-server -m x.gguf -ngl 9 -ngl 99\n")
    checked = json.loads(run(installed, "check", "--json", str(procfile)).stdout)
    unknown = run(ROOT / "docs", "emit", str(plan), "--as", "procfile")

    assert emitted.stdout.startswith("tiny: llama-server -m ")
    assert checked["n_commands"] == 2
    assert {(item["command"], item["line"]) for item in checked["findings"] if item["command"]} >= {("bad", 3)}
    assert unknown.stderr.startswith("omniplan: --as procfile: unknown; choose one of argv, shell, ")


FAILING = """
from dataclasses import replace
from house_rules import OPEN_PORT
RULE = replace(OPEN_PORT, row=replace(OPEN_PORT.row, id="other"), of_command=lambda case: [1 / 0])
"""
BROKEN = {
    "of another kind": ("RULE = 3", "broken:RULE is no Rule but of type int"),
    "not to be imported": ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
    "without what it names": ("", "AttributeError: module 'broken' has no attribute 'RULE'"),
    "failing when it is asked": (FAILING, "plug-in other: ZeroDivisionError: division by zero"),
    "of a name that is taken": ("from house_rules import OPEN_PORT as RULE", "open-port is there already"),
}


@pytest.mark.parametrize(("source", "says"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plug_in_is_one_line(
    source: str, says: str, installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its name, so that one knows what to take away."""
    (tmp_path / "broken.py").write_text(source)
    folder = tmp_path / "broken-0.1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 0.1\n")
    (folder / "entry_points.txt").write_text("[omniplan.rules]\nmine = broken:RULE\n")
    for site in (installed, tmp_path):
        monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "broken", raising=False)

    with pytest.raises(InputError) as caught:
        omniplan.check(["-m", "x.gguf"])

    assert str(caught.value).startswith("plug-in ")
    assert says in str(caught.value)
    check_one_line(caught.value)

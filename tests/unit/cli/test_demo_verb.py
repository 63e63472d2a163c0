"""The verbs to begin with need nothing but what is installed."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from omniplan.cli.main import main
from omniplan.gguf.shipped import shipped

Run = pytest.CaptureFixture[str]


def test_the_models_are_listed_by_the_names_that_stand_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Run
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["models"]) == 0
    listed = capsys.readouterr().out.split("\n\n")[0].splitlines()

    assert [name for line in listed if (name := line.split()[0]) in shipped()] == list(shipped())
    assert main(["models", "--json"]) == 0
    assert [item["path"] for item in json.loads(capsys.readouterr().out)] == [f"{name}.gguf" for name in shipped()]


def test_the_demo_is_the_plan_that_it_says_and_what_it_offers_is_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Run
) -> None:
    from omniplan.cli.main import parser

    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    first, _, told = capsys.readouterr().out.partition("\n\n")

    assert main(shlex.split(first.removeprefix("This is omniplan "))) == 0
    answer, offered = told.split("\n\nThat was ")
    assert f"{answer}\n" == capsys.readouterr().out
    commands = [line.split("   ")[0] for line in offered.splitlines() if line.startswith("  omniplan")]
    assert all(parser().parse_args(shlex.split(command)[1:]).run for command in commands)
    assert len(commands) > 2

"""omniplan tune against llama.cpp's own server: interrupted once, and gone on with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import omniplan
from omniplan.bench.protocol import ServerStart
from omniplan.cli.main import main
from omniplan.documents.toml_text import to_toml
from omniplan.domain.plan import Plan
from omniplan.predict.learned import load
from omniplan.tune.choice import MOST_RUNS, TunedRun
from omniplan.tune.measure import run
from tests.real.conftest import MACHINE, SERVER
from tests.real.tuning import interrupted_and_resumed


def measured(plan: Plan) -> TunedRun:
    """A run of the real server."""
    return run(ServerStart(plan=plan, server=SERVER, wait=60), lambda *_: None)


def test_it_runs_is_interrupted_and_goes_on(tiny_model: Path, cpu_machine: omniplan.Machine, tmp_path: Path) -> None:
    """The second run is interrupted; the next call keeps the first, and ends with the best that ran."""
    interrupted_and_resumed(tiny_model, cpu_machine, tmp_path / "tune.jsonl", measured)


def test_the_command_writes_what_it_learned(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command to paste on stdout, the runs in the journal, and a calibration that plans take, or why not."""
    monkeypatch.chdir(tmp_path)
    machine = tmp_path / "cpu.toml"
    machine.write_text(to_toml(MACHINE), encoding="utf-8")
    learned = tmp_path / "learned.toml"
    words = ["--ctx", "1024", "--n-prompt", "256", "--n-gen", "16", "--budget", "1s", "--learned", str(learned)]

    code = main(["tune", str(tiny_model), "--machine", str(machine), "--server", SERVER, *words])
    shown = capsys.readouterr()
    lines = (tmp_path / "tiny.tune.jsonl").read_text(encoding="utf-8").splitlines()

    assert code == 0
    assert shown.out.startswith("llama-server -m ")
    assert "run 1: the plan itself" in shown.err
    assert json.loads(lines[0])["llama_cpp"]
    assert 1 < len(lines) <= 1 + MOST_RUNS
    assert learned.is_file() == ("nothing is written" not in shown.err)
    if learned.is_file():
        assert load(learned).by_name

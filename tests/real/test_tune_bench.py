"""omniplan tune with llama-bench: the real one where this host has it, and one that stands in for it."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path

import pytest

import omniplan
from omniplan.bench.protocol import ServerStart
from omniplan.cli.main import main
from omniplan.documents.toml_text import to_toml
from omniplan.domain.evidence import Basis
from omniplan.domain.plan import Plan
from omniplan.errors import InputError
from omniplan.predict.learned import load
from omniplan.tune.choice import TunedRun
from omniplan.tune.programs import runner_of
from tests.contracts.sources import ROOT
from tests.real.conftest import MACHINE
from tests.real.tuning import ASKED, interrupted_and_resumed

STAND_IN = shlex.join([sys.executable, str(ROOT / "tests/real/llama_bench.py")])


@pytest.fixture(params=["stand-in", "real"])
def command(request: pytest.FixtureRequest) -> str:
    """A command that runs llama-bench."""
    if request.param == "stand-in":
        return STAND_IN
    if (found := shutil.which("llama-bench")) is None:
        pytest.skip("there is no llama-bench on this host")
    return found


def test_it_runs_is_interrupted_and_goes_on(
    command: str, tiny_model: Path, cpu_machine: omniplan.Machine, tmp_path: Path
) -> None:
    """The second run is interrupted; the next call keeps the first, and ends with the best that ran."""

    def measured(plan: Plan) -> TunedRun:
        return runner_of(ServerStart(plan=plan), command, lambda *_: None)(plan)

    found = interrupted_and_resumed(tiny_model, cpu_machine, tmp_path / "tune.jsonl", measured)

    assert {run.server for run in found.runs} == {found.runs[0].server}
    assert found.runs[0].server.startswith("b")


def test_the_command_measures_without_a_server(
    command: str, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs in the journal, the command to paste on stdout, a calibration, or why not, and what later plans show."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMNIPLAN_DATA", str(tmp_path))
    machine, learned = tmp_path / "cpu.toml", tmp_path / "learned.toml"
    machine.write_text(to_toml(MACHINE), encoding="utf-8")
    words = ["--ctx", "1024", "--n-prompt", "256", "--n-gen", "16", "--budget", "1s", "--learned", str(learned)]
    server = ["--server", "no-such-server"]

    code = main(["tune", str(tiny_model), "--machine", str(machine), "--bench", command, *server, *words])
    shown = capsys.readouterr()
    lines = (tmp_path / "tiny.tune.jsonl").read_text(encoding="utf-8").splitlines()

    assert code == 0, shown.err
    assert shown.out.startswith("llama-server -m ")
    assert json.loads(lines[1])["server"].startswith("b")
    assert learned.is_file() == ("nothing is written" not in shown.err)
    if learned.is_file():
        assert load(learned).by_name
    kept, *_ = omniplan.load_measurements(tmp_path / "measurements")
    assert (kept.program, kept.n_prompt, kept.n_gen, kept.machine.name) == ("llama-bench", 256, 16, "no GPU")
    known = omniplan.predict(tiny_model, machine, kept.args, n_prompt=256, n_gen=16).measured
    assert [item.basis for item in known] == [Basis.MEASURED]


@pytest.mark.parametrize(
    ("program", "failure"),
    [
        ("print('[]')", "not the row of one test"),
        ("print('[' * 100000)", "not the row of one test"),
        ('print(\'[{"build_number": 1, "test_time": "", "samples_ts": [NaN]}]\')', "nan"),
        ('print(\'[{"build_number": 1, "test_time": "", "samples_ts": [-1.0]}]\')', "-1.0"),
        ("import sys; sys.exit('error: out of memory')", "ended with code 1: error: out of memory"),
    ],
)
def test_a_bench_that_fails_is_a_run_that_failed(tiny_plan: Plan, program: str, failure: str) -> None:
    """What it said is told, and no speed is made of it."""
    command = shlex.join([sys.executable, "-c", program])

    assert failure in runner_of(ServerStart(plan=tiny_plan), command, lambda *_: None)(tiny_plan).failure


def test_what_it_has_no_words_for_needs_the_server(
    tiny_model: Path, cpu_machine: omniplan.Machine, tmp_path: Path
) -> None:
    """A plan for an older build is measured with the server; where there is none, a line says so."""
    with pytest.raises(InputError, match=r"that of b9310 has other defaults; and there is no no-such-server"):
        omniplan.tune(
            tiny_model,
            cpu_machine,
            ASKED,
            build=9310,
            journal=tmp_path / "a.jsonl",
            bench=STAND_IN,
            server="no-such-server",
        )

"""The verb: what it refuses, and what it gives without a server."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import jsonschema
import pytest

from omniplan.bench.gate_table import load_gates, shipped_gates
from omniplan.bench.gates import Metric, Prompts
from omniplan.cli.main import main
from omniplan.errors import InputError
from tests.contracts.sources import ROOT
from tests.contracts.transcripts import blocks
from tests.refusals import check_refused

Run = pytest.CaptureFixture[str]


def closed_url() -> str:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{closed.getsockname()[1]}"


HERE = closed_url()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([], "one of URL, --launch"),
        ([HERE, "--launch", "plan.json"], "one of URL, --launch"),
        ([HERE], "is a server running there?"),
        (["ftp://host"], "not a server's URL"),
        (["--launch", "nowhere.json"], "nowhere.json"),
        (["--judge", "nowhere.json"], "nowhere.json"),
        (["--judge", "README.md"], "not JSON"),
        (["--judge", "tests/data/measurements/none.json"], "none.json"),
        ([HERE, "--plan", "README.md"], "not JSON"),
        ([HERE, "--gates", "nowhere.toml"], "shipped gates.toml"),
        ([HERE, "--gates", "pyproject.toml"], "build-system"),
        ([HERE, "--lengths", "many"], "--lengths"),
        ([HERE, "--lengths", "0"], "--lengths"),
        ([HERE, "--runs", "0"], "--runs"),
        ([HERE, "--n-gen", "-1"], "--n-gen"),
        ([HERE, "--warmup", "-1"], "--warmup"),
        ([HERE, "--timeout", "0"], "--timeout"),
        ([HERE, "--timeout", "nan"], "--timeout"),
        ([HERE, "--api-key-env", "NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE"),
        ([HERE, "--smoke", "--models", "nowhere.conf"], "nowhere.conf"),
        ([HERE, "--smoke", "--models", "README.md"], "no sections"),
        ([HERE, "--smoke"], "is a server running there?"),
        ([HERE, "--vram-budget", "-1"], "--vram-budget"),
        ([HERE, "--models", "models.conf"], "--smoke"),
        (["--judge", "report.json", "--plan", "plan.json"], "--plan"),
        ([HERE, "-o", "nowhere/report.md"], "nowhere/report.md"),
    ],
)
def test_bad_input_is_one_line_and_2(more: list[str], says: str, capsys: Run) -> None:
    """Nothing on stdout; one line on stderr."""
    check_refused(["bench", "--retries", "0", *more], says, capsys)


def test_the_shipped_gates_are_printed_as_a_file(tmp_path: Path, capsys: Run) -> None:
    """What is printed is read again as the same gates: those of the diaries' GO/NO-GO table."""
    path = tmp_path / "gates.toml"
    assert main(["bench", "--show-gates"]) == 0
    path.write_text(capsys.readouterr().out, encoding="utf-8")

    assert set(load_gates(path)) == set(shipped_gates())
    assert {(g.metric, g.go, g.no_go, g.prompts) for g in shipped_gates()} == {
        (Metric.DECODE, 12, 8, Prompts.ALL),
        (Metric.FIRST_TOKEN, 2, None, Prompts.SHORTEST),
        (Metric.STABILITY, 0.95, None, Prompts.ALL),
        (Metric.VRAM, None, 1, Prompts.ALL),
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no gates"),
        ("[decode]\ngo = 1\nsource = 'x'", "decode"),
        ("[stability]\ngo = 1", "stability.source"),
        ("[stability]\nsource = 'x'", "stability: needs a limit"),
        ("[stability]\ngo = 'high'\nsource = 'x'", "stability.go"),
        ("[stability]\ngo = 0.5\nno_go = 0.9\nsource = 'x'", "stability: the limit for NO-GO"),
        ("[stability]\ngo = 0.5\nbelow = 1\nsource = 'x'", "stability.below"),
        ("[stability]\ngo = 0.5\nprompts = 'some'\nsource = 'x'", "shortest"),
        ("stability = 1", "stability: expected a table"),
        ("[stability", "gates.toml"),
    ],
)
def test_a_wrong_gates_file_says_where(text: str, says: str, tmp_path: Path) -> None:
    """The path inside the file, and how to see a right one."""
    path = tmp_path / "gates.toml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(InputError) as refused:
        load_gates(path)
    assert says in str(refused.value)
    assert "shipped gates.toml" in str(refused.value)


def test_the_page_s_own_gates_are_gates(tmp_path: Path) -> None:
    """What a reader copies works."""
    path = tmp_path / "gates.toml"
    for _, lines in blocks(ROOT / "docs/verbs/bench.md", "toml"):
        path.write_text("\n".join(lines), encoding="utf-8")

        assert {gate.metric for gate in load_gates(path)} == {Metric.DECODE, Metric.PROMPT, Metric.OF_PLAN}


def test_a_saved_report_keeps_its_schema(capsys: Run) -> None:
    """What ``--json`` prints is valid by ``omniplan schema bench``, also after judging again."""
    assert main(["bench", "--judge", str(ROOT / "examples/bench_report.json"), "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    main(["schema", "bench"])
    schema = json.loads(capsys.readouterr().out)

    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(written, schema)

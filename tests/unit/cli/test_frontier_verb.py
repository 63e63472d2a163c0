"""The verb: codes, one-line errors, JSON that keeps its schema, and a plot beside the table."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from omniplan.cli.main import main
from tests.contracts.sources import ROOT
from tests.refusals import check_refused

TINY = str(ROOT / "tests/data/models/archs/llama-dense.gguf")
DEEPSEEK = str(ROOT / "data/models/DeepSeek-R1-Q4_K_M.gguf")
ASK = ["frontier", TINY, "--machine", "single-3090", "--ctx", "4096,8192", "--ubatch", "512"]

Run = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--ctx", "many"], "--ctx: expected tokens such as"),
        (["--ctx", "4096,"], "--ctx: expected tokens such as"),
        (["--ctx", "0,4096"], "--ctx 0: expected at least 1"),
        (["--ubatch", "-1"], "--ubatch -1: expected at least 1"),
        (["--parallel", "0"], "--parallel 0: expected at least 1"),
        (["--cache-type", "f8"], "f8"),
        (["--n-gen", "-1"], "--n-gen -1: expected 0 or more"),
        (["--headroom", "lots"], "10%"),
        (["--plot", "frontier.pdf"], ".svg or .png"),
        (["--plot", "nowhere/frontier.svg"], "nowhere/frontier.svg"),
        (["--machine", "nowhere"], "single-3090"),
        (["--", "-c", "512"], "footprint"),
    ],
)
def test_bad_input_is_one_line_and_2(more: list[str], says: str, capsys: Run) -> None:
    """Nothing on stdout; one line on stderr."""
    check_refused([*ASK, *more], says, capsys)


def test_a_table_and_a_plot(tmp_path: Path, capsys: Run) -> None:
    """0 when anything fits; the plot is a file, the table goes to stdout."""
    assert main([*ASK, "--plot", str(tmp_path / "a.svg")]) == 0

    shown = capsys.readouterr()
    assert shown.err == ""
    assert "4 combinations" in shown.out
    assert (tmp_path / "a.svg").stat().st_size > 1000


def test_json_keeps_its_schema(capsys: Run) -> None:
    """What ``--json`` prints is valid by ``omniplan schema frontier``."""
    assert main([*ASK, "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    main(["schema", "frontier"])
    schema = json.loads(capsys.readouterr().out)

    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(written, schema)
    assert [point["n_ctx"] for point in written["points"]] == [4096, 4096, 8192, 8192]
    assert any(point["is_efficient"] for point in written["points"])


def test_nothing_that_fits_is_1(tmp_path: Path, capsys: Run) -> None:
    """The reasons are the answer; a plot of nothing is not written."""
    path = tmp_path / "a.png"
    code = main(["frontier", DEEPSEEK, "--machine", "dual-4090-5070ti", *ASK[4:], "--plot", str(path)])

    shown = capsys.readouterr()
    assert code == 1
    assert "short by" in shown.out
    assert "not written" in shown.err
    assert not path.exists()

"""Command lines side by side: the same figures as one at a time, and several groups on the command line."""

from __future__ import annotations

import json

import jsonschema
import pytest

import omniplan
from omniplan.api import compare, predict
from omniplan.api.documents import schema
from omniplan.cli.main import main
from tests.contracts.sources import ROOT
from tests.oracle import cases

MODEL = str(ROOT / "data/models/GLM-4.7-Flash-Q8_0.gguf")
HERE = [MODEL, "--machine", "dual-4090-5070ti"]
SPLIT = ["-c", "32768", "-np", "1", "-ngl", "99", "-ts", "33,15"]
ALONE = ["-c", "32768", "-np", "1", "-ngl", "99", "-sm", "none"]

Run = pytest.CaptureFixture[str]


def test_rows_are_what_each_is_alone() -> None:
    """Bytes, splits and speed of every row are those of footprint and predict."""
    model, machine = cases.model("GLM-4.7-Flash-Q8_0"), omniplan.load_machine("dual-4090-5070ti")
    found = compare(model, machine, [SPLIT, ALONE])

    assert [row.fits for row in found.rows] == [True, False]
    for row, args in zip(found.rows, (SPLIT, ALONE), strict=True):
        priced = omniplan.footprint(model, machine, args)
        assert row.used == {pool.name: pool.used for pool in priced.pools}
        assert row.graph_splits == priced.graph_splits
        assert row.prediction == predict(model, machine, args)


def test_groups_on_the_command_line(capsys: Run) -> None:
    """Exit 0 when one fits; JSON keeps its schema and its order."""
    assert main(["compare", *HERE, "--json", "--", *SPLIT, "--", *ALONE]) == 0

    written = json.loads(capsys.readouterr().out)
    jsonschema.validate(written, schema("comparison"))
    assert [row["args"] for row in written["rows"]] == [SPLIT, ALONE]


def test_nothing_fits_is_1(capsys: Run) -> None:
    """The table is printed all the same."""
    assert main(["compare", *HERE, "--", *ALONE]) == 1
    assert "1: short by" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["compare", *HERE], "nothing to compare"),
        (["compare", *HERE, "--", *SPLIT, "--", "--ctx-sise", "4"], "command line 2"),
        (["footprint", *HERE, "--", *SPLIT, "--", *ALONE], "compare takes several"),
        (["compare", *HERE, "--n-gen", "-1", "--", *SPLIT], "--n-gen -1: expected 0 or more"),
    ],
)
def test_bad_input_is_2(argv: list[str], says: str, capsys: Run) -> None:
    """One line that says which group is wrong."""
    assert main(argv) == 2
    assert says in capsys.readouterr().err


def test_no_arguments_are_a_command_line() -> None:
    """An empty group is llama-server with its defaults."""
    model, machine = cases.model("GLM-4.7-Flash-Q8_0"), omniplan.load_machine("cpu-only")

    assert compare(model, machine, [[]]).rows[0].args == ()

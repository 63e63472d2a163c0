"""The verb: exit codes, one-line errors, JSON that keeps its schema, a table with every share."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from omniplan.api.documents import schema
from omniplan.cli.main import main
from tests.contracts.sources import ROOT
from tests.refusals import check_refused

TINY = ROOT / "tests/data/models/archs/llama-dense.gguf"
Run = pytest.CaptureFixture[str]


@pytest.fixture
def stack(tmp_path: Path) -> str:
    """Two models of a few MB, one on demand."""
    rows = [f'[[models]]\nname = "{name}"\npath = "{TINY}"\nctx = 512\non_demand = {demand}' for name, demand in
            (("first", "false"), ("second", "true"))]  # fmt: skip
    path = tmp_path / "stack.toml"
    path.write_text("\n".join(rows))
    return str(path)


def test_a_table_and_a_schema(stack: str, capsys: Run) -> None:
    """0 when every group fits; the JSON is what the schema says."""
    assert main(["stack", stack, "--machine", "single-3090"]) == 0
    shown = capsys.readouterr().out
    assert "startup+second (first, second) fits" in shown
    assert "first + second" in shown

    assert main(["stack", stack, "--machine", "single-3090", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, schema("stack"))
    assert [group["fits"] for group in found["groups"]] == [True, True]


def test_a_folder_of_files(tmp_path: Path, capsys: Run) -> None:
    """Every format and plan; one that cannot hold a path is left out with a note, and an error where it was asked."""
    (tmp_path / "a model.gguf").write_bytes(TINY.read_bytes())
    path, out = tmp_path / "stack.toml", tmp_path / "out"
    path.write_text('[[models]]\nname = "only"\npath = "a model.gguf"\nctx = 512')
    asked = ["stack", str(path), "--machine", "single-3090", "-o", str(out)]

    assert main(asked) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("note: models.conf is left out: models.conf: ")
    names = {"stack.txt", "preset.ini", "llama-swap.yaml", "compose.yaml", "only.json"}
    assert {file.name for file in out.iterdir()} == names
    assert main([*asked, "--as", "models.conf"]) == 2
    assert {file.name for file in out.iterdir()} == names
    assert main(["stack", str(path), "--machine", "single-3090", "-o", str(tmp_path / "no" / "where")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_what_does_not_fit_is_1(tmp_path: Path, capsys: Run) -> None:
    """The sum, and ways out."""
    path = tmp_path / "stack.toml"
    path.write_text('[[externals]]\nname = "x"\ngb = 117\n[[externals]]\nname = "y"\ngb = 50')

    assert main(["stack", str(path), "--machine", "omni-nps1"]) == 1
    shown = capsys.readouterr().out
    assert "117 + 50 = 167 GB" in shown
    assert "1. x out" in shown


def test_no_less_than_no_idling(stack: str, capsys: Run) -> None:
    """llama-swap's seconds of idling cannot be negative."""
    asked = ["stack", stack, "--machine", "single-3090", "--as", "llama-swap"]
    check_refused([*asked, "--ttl", "-4"], "--ttl -4: expected seconds of idling", capsys)


@pytest.mark.parametrize(
    ("text", "says"), [("models = 1", "models: expected"), ('[[models]]\nname="a"\npath="b"', "b: ")]
)
def test_bad_input_is_one_line_and_2(text: str, says: str, tmp_path: Path, capsys: Run) -> None:
    """Nothing on stdout; one line on stderr."""
    path = tmp_path / "stack.toml"
    path.write_text(text)
    code = main(["stack", str(path), "--machine", "single-3090"])
    shown = capsys.readouterr()

    assert (code, shown.out, shown.err.count("\n")) == (2, "", 1)
    assert says in shown.err

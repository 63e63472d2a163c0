"""The published schemas are those of the files: shipped machines, examples, plans, and machines drawn at random."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given

import omniplan
from omniplan.api.documents import SCHEMAS, schema
from omniplan.cli.main import main
from omniplan.domain.machine import Machine
from omniplan.errors import InputError
from tests.contracts.sources import ROOT
from tests.machines import machines

FILES = [
    *(("machine", path) for path in sorted((ROOT / "data/machines").glob("*.toml"))),
    *(("stack-file", path) for path in sorted((ROOT / "examples/stacks").glob("*.toml"))),
    ("calibration", ROOT / "data/calibration.toml"),
]


def allows(name: str, raw: object) -> bool:
    """Whether ``raw`` is valid by the schema ``name``."""
    return jsonschema.Draft202012Validator(schema(name)).is_valid(raw)


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_is_one(name: str) -> None:
    """By the rules of the draft it names, and each record in it says what it is."""
    found = schema(name)

    jsonschema.Draft202012Validator.check_schema(found)
    assert [key for key, record in found["$defs"].items() if not record["description"]] == []


@pytest.mark.parametrize(("name", "path"), FILES, ids=[path.stem for _, path in FILES])
def test_files_are_valid_by_their_schema(name: str, path: Path) -> None:
    """And not with a key that nobody knows."""
    raw = tomllib.loads(path.read_text(encoding="utf-8"))

    assert allows(name, raw)
    assert not allows(name, {**raw, "colour": "red"})


@given(machines())
def test_any_machine_is_valid_as_it_is_written(machine: Machine) -> None:
    """Whatever is known of it."""
    assert allows("machine", machine.to_dict())


WRONG: list[dict[str, Any]] = [
    {"gpus": [{"name": "CUDA0"}]},
    {"gpus": [{"name": "CUDA0", "total": 25769803776}]},
    {"gpus": [{"name": "CUDA0", "total_mib": "24 GB"}]},
    {"memory": {"total_mib": -1}},
    {"memory": {"total_mib": 1, "bandwidth_basis": "felt"}},
    {"cpu": {"n_cores": 8.5}},
]


@pytest.mark.parametrize("raw", WRONG, ids=str)
def test_what_the_schema_refuses_is_refused(raw: dict[str, Any]) -> None:
    """A machine in bytes is no machine file, by the schema and by the reader."""
    assert not allows("machine", {"name": "x", **raw})
    with pytest.raises(InputError):
        Machine.from_dict({"name": "x", **raw})


def test_a_plan_holds_its_machine_as_a_file_has_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What stands under ``machine`` in a plan can be saved and used as a machine."""
    model = str(ROOT / "tests/data/models/archs/llama-dense.gguf")
    assert main(["plan", model, "--machine", "single-3090", "--ctx", "4096", "--no-baselines", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    saved = tmp_path / "saved.json"
    saved.write_text(json.dumps(plan["machine"]))

    assert allows("plan", plan)
    assert omniplan.load_machine(saved) == omniplan.load_machine("single-3090")

"""A user's own rows: the folder, what stands over what, and whose file is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from omniplan.documents.own import own_folder, own_path
from omniplan.documents.source import read_table
from omniplan.errors import TableError
from omniplan.machines.cpus import CpuTable
from omniplan.machines.files import load_machine, profiles, shipped
from omniplan.machines.gpus import GpuRow
from tests.contracts.sources import ROOT

EXAMPLE = ROOT / "examples/own_rows"
MODEL = str(ROOT / "tests/data/models/archs/llama-dense.gguf")
CPU = 'cores = 1, threads = 1, channels = 1, speed_mts = 1, source = "s"'


def run(folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """The command as a user with these rows runs it."""
    environment = {**os.environ, "OMNIPLAN_DATA": str(folder), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", "from omniplan.cli.main import entry; entry()", *argv]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_example_s_rows_are_used() -> None:
    """Its machine is a profile, its GPU and CPU are known by name, and speeds are made of its constant."""
    listed = run(EXAMPLE, "machines").stdout
    worded = run(EXAMPLE, "machine", "RTX 4090 48GB, Ryzen 9 11950X, 64 GiB", "--json")
    plan = ["plan", MODEL, "--machine", "cpu-only", "--ctx", "512", "--json"]
    own, usual = (json.loads(run(folder, *plan).stdout)["prediction"] for folder in (EXAMPLE, ROOT / "docs"))

    assert f"workshop: {EXAMPLE / 'machines/workshop.toml'}" in listed
    machine = json.loads(worded.stdout)
    assert machine["gpus"][0]["total_mib"] > 48000
    assert machine["cpu"]["n_cores"] == 24
    assert own["decode_tokens_per_second"] != usual["decode_tokens_per_second"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own."""
    monkeypatch.setenv("OMNIPLAN_DATA", str(tmp_path))
    return tmp_path


def gpus() -> dict[str, dict[str, GpuRow]]:
    return read_table("gpus.toml", dict[str, dict[str, GpuRow]])


def test_a_row_of_the_same_name_takes_the_place_of_the_shipped_one(folder: Path) -> None:
    """As a whole; all others stay as they are."""
    (folder / "gpus.toml").write_text('[geforce]\n"RTX 4090" = { memory_mib = 1024, source = "mine" }\n')

    own = gpus()

    assert own["geforce"]["RTX 4090"] == GpuRow(name="RTX 4090", group="geforce", memory=1 << 30, source="mine")
    assert len(own["geforce"]) > 10


def test_a_machine_of_the_same_name_takes_the_place_of_the_shipped_one(folder: Path) -> None:
    """And one of another name stands among them; a calibration beside it is no machine."""
    (folder / "machines").mkdir()
    for name in ("h100", "desk", "desk.calibration"):
        (folder / "machines" / f"{name}.toml").write_text('name = "mine"\n')

    assert list(profiles()) == sorted({*shipped(), "desk"})
    assert load_machine("h100").name == load_machine("desk").name == "mine"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        (
            "gpus.toml",
            "[own]\nX = { memory_mb = 1 }",
            "own.X.memory_mb: unknown key; did you mean 'memory_mib'?",
        ),
        ("gpus.toml", "[own]\nX = { memory_mib = 1 }", "own.X.source: is missing"),
        ("gpus.toml", "own = 1", "own: expected a table, got int"),
        ("gpus.toml", "[own", "not a TOML file"),
        (
            "cpus.toml",
            f'[cpu]\nX = {{ {CPU}, isa = "zen" }}',
            "cpu.X.isa: expected one of",
        ),
    ],
)
def test_a_wrong_row_names_the_user_s_file(folder: Path, name: str, text: str, says: str) -> None:
    """And the path inside it."""
    (folder / name).write_text(text)

    with pytest.raises(TableError) as caught:
        read_table(name, CpuTable if name == "cpus.toml" else dict[str, dict[str, GpuRow]])

    assert str(caught.value).startswith(f"{folder / name}: ")
    assert says in str(caught.value)


def test_a_constant_that_there_is_not_is_named(tmp_path: Path) -> None:
    """It would change nothing, in silence."""
    row = 'value = 1\nlow = 1\nhigh = 1\nsource = "s"\ndate = "d"'
    (tmp_path / "calibration.toml").write_text(f"[gpu.weights_shard]\n{row}\n")

    done = run(tmp_path, "plan", MODEL, "--machine", "h100", "--ctx", "512")

    assert (done.returncode, done.stdout) == (2, "")
    assert f"{tmp_path / 'calibration.toml'}: gpu.weights_shard: unknown constant; did you mean" in done.stderr


def test_a_table_that_there_is_not_is_named(folder: Path) -> None:
    """A misspelt file would be read by nobody; a folder that is not there has no rows."""
    (folder / "gpu.toml").write_text("")

    with pytest.raises(TableError, match=r"gpu\.toml: unknown table; did you mean 'gpus\.toml'\?"):
        own_path("gpus.toml")


def test_a_folder_named_in_vain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The variable is meant, so that it is no default."""
    monkeypatch.setenv("OMNIPLAN_DATA", str(tmp_path / "nowhere"))

    with pytest.raises(TableError, match=r"OMNIPLAN_DATA: .*nowhere: no such folder"):
        own_folder()


@pytest.mark.parametrize(
    ("platform", "variable", "below"),
    [
        ("linux", "XDG_CONFIG_HOME", "omniplan"),
        ("linux", "HOME", ".config/omniplan"),
        ("darwin", "HOME", "Library/Application Support/omniplan"),
        ("win32", "APPDATA", "omniplan"),
    ],
)
def test_the_platform_s_folder(
    platform: str, variable: str, below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where programs of that platform keep what a user has set; none where nobody made it."""
    for name in ("OMNIPLAN_DATA", "XDG_CONFIG_HOME", "APPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv(variable, str(tmp_path))

    before = own_folder()
    (tmp_path / below).mkdir(parents=True)

    assert before is None
    assert own_folder() == tmp_path / below

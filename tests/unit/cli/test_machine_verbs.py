"""``probe``, ``machine`` and ``calibrate`` as commands: what they print, write and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import omniplan
from omniplan.cli.main import main

WORDS = "RTX 4090 + RTX 5070 Ti, Ryzen 7 5800X3D, 64 GB DDR4-3600"


def test_words_make_a_file_that_plans(tmp_path: Path) -> None:
    """A machine from words is written whole and loads like any other."""
    file = tmp_path / "desk.toml"

    assert main(["machine", WORDS, "-o", str(file)]) == 0
    assert ["RTX 4090", "RTX 5070 Ti"] == [gpu.description for gpu in omniplan.load_machine(file).gpus]
    assert [file] == list(tmp_path.iterdir())


def test_this_host_can_be_probed(tmp_path: Path) -> None:
    """Without root and without a GPU there is still a machine, and it validates."""
    file = tmp_path / "host.toml"

    assert main(["probe", "-o", str(file), "--name", "host"]) == 0
    machine = omniplan.load_machine(file)
    assert machine.name == "host"
    assert machine.memory is not None
    assert machine.memory.available > 0


def test_sources_are_joined(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """GPUs of one source, memory of another."""
    gpus = tmp_path / "gpus.toml"
    gpus.write_text('name = "g"\n[[gpus]]\nname = "CUDA0"\ndescription = "RTX 3090"\ntotal_mib = 24576\n')

    assert main(["probe", "--from", str(gpus), "--from", "cpu-only", "--name", "both", "--json"]) == 0
    assert '"n_cores": 64' in capsys.readouterr().out


def test_llama_bench_makes_constants(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One row of llama-bench sets the rates of the machine it ran on, and names itself as their source."""
    rows = [{"model_size": 31_833_324_032, "n_prompt": 0, "n_gen": 128, "avg_ts": 118.0, "n_gpu_layers": 99}]
    bench = tmp_path / "bench.json"
    bench.write_text(json.dumps(rows))
    model = str(Path(__file__).parents[3] / "data/models/GLM-4.7-Flash-Q8_0.gguf")

    assert main(["calibrate", "dual-4090-5070ti", "--llama-bench", str(bench), "--model", model]) == 0
    printed = capsys.readouterr().out
    assert "[gpu.weights_share]" in printed
    assert "tg128 in row 0" in printed


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        pytest.param(["machine", "RTX 9999"], "RTX 9999", id="unknown GPU"),
        pytest.param(["probe", "--from", "nowhere.xml"], "nowhere.xml", id="missing file"),
        pytest.param(["machine", WORDS, "-o", "no/such/folder/m.toml"], "no/such/folder/m.toml", id="no folder"),
        pytest.param(["calibrate", "nowhere.toml"], "nowhere.toml", id="no machine file"),
        pytest.param(["calibrate", "h100", "--llama-bench", "b.json"], "--llama-bench: needs", id="no model"),
        pytest.param(
            ["calibrate", "h100", "--llama-bench", "nowhere.json", "--model", "m.gguf"], "nowhere.json", id="no bench"
        ),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The last line says what and where; the code is 2."""
    assert main(arguments) == 2
    assert named in capsys.readouterr().err.splitlines()[-1]

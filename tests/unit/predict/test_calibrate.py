"""Constants of one machine from llama-bench rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import omniplan
from omniplan.errors import InputError
from omniplan.predict.bench_rows import bench_runs
from omniplan.predict.calibrate import MeasuredSpeed, calibrate
from omniplan.predict.learned import learned_of, load

MODEL = omniplan.load_model("tests/data/models/zoo/Qwen3-30B-A3B-Q4_K_M.gguf")
SIZE = sum(tensor.nbytes for tensor in MODEL.header.tensors)
MACHINE = omniplan.Machine.from_dict(
    {
        "name": "desk",
        "gpus": [{"name": "CUDA0", "description": "RTX 4090", "total_mib": 24564}],
        "cpu": {"n_cores": 16},
        "memory": {"total_mib": 98304, "bandwidth_gbs": 64, "bandwidth_basis": "measured"},
    }
)


def row(**fields: object) -> dict[str, Any]:
    """A row of llama-bench -o json."""
    return {
        "model_size": SIZE, "n_prompt": 0, "n_gen": 128, "n_depth": 0, "avg_ts": 150.0, "n_gpu_layers": 99,
        "n_batch": 2048, "n_ubatch": 512, "n_threads": 16, "type_k": "f16", "type_v": "f16", "flash_attn": True,
        "split_mode": "layer", "tensor_split": "0.00", "tensor_buft_overrides": "none", "use_mmap": True,
        "no_kv_offload": False, "no_op_offload": 0, "test_time": "2026-02-01T10:00:00Z", **fields,
    }  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        {"avg_ts": 130.0},
        {"avg_ts": 20.0, "n_cpu_moe": 48},
        {"avg_ts": 3000.0, "n_prompt": 512, "n_gen": 0},
        {"avg_ts": 300.0, "n_prompt": 512, "n_gen": 0, "n_cpu_moe": 48},
        {"avg_ts": 100.0, "n_prompt": 512, "n_gen": 0, "n_gpu_layers": 0, "no_op_offload": 1},
    ],
    ids=["gpu decode", "cpu decode", "gpu prompt", "link prompt", "cpu prompt"],
)
def test_a_run_is_predicted_as_measured(tmp_path: Path, fields: dict[str, object]) -> None:
    """With the file written and read again, the run that made it comes out."""
    (run,) = bench_runs([row(**fields)], MODEL)
    path = tmp_path / "desk.toml"
    path.write_text(learned_of(calibrate(MODEL, MACHINE, [run])).to_toml("desk\nmade by a test"), encoding="utf-8")

    found = omniplan.predict(
        MODEL, MACHINE, run.args, n_prompt=run.n_prompt, n_gen=run.n_gen, depth=run.depth, calibration=path
    )

    chosen = found.prompt_tokens_per_second if run.n_prompt else found.decode_tokens_per_second
    assert run.rate == pytest.approx(chosen.value, rel=1e-3)
    assert path.read_text(encoding="utf-8").startswith("# desk\n# made by a test\n")


def test_what_a_run_says_nothing_about_stays_as_shipped() -> None:
    """Decoding on the GPU tells nothing of RAM."""
    found = calibrate(MODEL, MACHINE, bench_runs([row()], MODEL))

    assert all(name.startswith("gpu.") for name in found)
    assert found["gpu.weights_share"].date == "2026-02-01"


def test_contradicting_runs_are_refused() -> None:
    """A disturbed run is named, not averaged."""
    with pytest.raises(InputError, match="tg128 in row 1"):
        calibrate(MODEL, MACHINE, bench_runs([row(), row(avg_ts=40.0)], MODEL))


def test_a_cache_of_experts_teaches_nothing() -> None:
    """How often it was hit decides the speed, and no run says it."""
    args = ("-c", "8192", "-np", "1", "-ngl", "99", "-cmoe", "--moe-cache-mib", "4096")
    run = MeasuredSpeed(label="tg128", args=args, n_prompt=0, n_gen=128, depth=0, rate=50.0)

    with pytest.raises(InputError, match="tg128: how often its cache of experts was hit is not known"):
        calibrate(MODEL, MACHINE, [run])


def test_a_speed_no_such_machine_has_is_refused() -> None:
    """Ten times too fast is another model or another machine."""
    run = MeasuredSpeed(
        label="tg128", args=("-ngl", "99", "-c", "512", "-np", "1"), n_prompt=0, n_gen=128, depth=0, rate=1e5
    )

    with pytest.raises(InputError, match="check that model"):
        calibrate(MODEL, MACHINE, [run])


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"model_size": 5}, "expected this model's"), ({"avg_ts": 0}, "avg_ts"), ({"n_gen": None}, "not a row")],
)
def test_other_rows_are_refused(fields: dict[str, object], message: str) -> None:
    """Rows of another model, without a speed, or of another program."""
    with pytest.raises(InputError, match=message):
        bench_runs([row(**fields)], MODEL)


def test_no_runs_is_an_error() -> None:
    """Mixed tests say nothing about either speed."""
    with pytest.raises(InputError, match="no run"):
        calibrate(MODEL, MACHINE, bench_runs([row(n_prompt=512)], MODEL))


def test_overrides_and_splits_become_arguments() -> None:
    """llama-bench separates by ; and / where llama-server wants commas."""
    (run,) = bench_runs(
        [row(tensor_buft_overrides="exps=CPU;x=CUDA0", tensor_split="3.00/1.00", no_kv_offload=True, use_mmap=False)],
        MODEL,
    )

    assert ("exps=CPU,x=CUDA0", "3.00,1.00") == (
        run.args[run.args.index("-ot") + 1],
        run.args[run.args.index("-ts") + 1],
    )
    assert {"-nkvo", "none"} <= set(run.args)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[gpu.bandwith]\nvalue = 1\nlow = 1\nhigh = 1\nsource = ''\ndate = ''", "gpu.bandwith: no such constant"),
        ("[gpu.node]\nvalue = 1", "missing"),
        ("[gpu.node]\nvalue = 2\nlow = 3\nhigh = 4\nsource = ''\ndate = ''", "low <= value"),
        ("gpu = 1", "expected a table"),
        ("[", "wrong.toml"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    """A machine's own file is user input."""
    path = tmp_path / "wrong.toml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(InputError, match=message):
        load(path)


def test_an_empty_file_is_the_shipped_constants(tmp_path: Path) -> None:
    """Deleting a row goes back to what is shipped."""
    path = tmp_path / "empty.toml"
    path.write_text("# nothing\n", encoding="utf-8")

    assert load(path).by_name == {}

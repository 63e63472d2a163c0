"""What ``--fit`` chooses, against llama.cpp b11434's own choices on simulated devices."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

import omniplan
from omniplan.domain.machine import Machine
from tests.oracle import cases

FOLDER = Path(__file__).parents[1] / "data" / "oracle"
FITS = [json.loads(line) for line in (FOLDER / "fit_cases.jsonl").read_text().splitlines()]


@cache
def _machine(name: str) -> Machine:
    gpus = json.loads((FOLDER / "machines.json").read_text())[name]
    return Machine.from_dict({"name": name, "gpus": gpus})


@pytest.mark.parametrize("case", FITS, ids=lambda case: f"{case['model']} {case['machine']} {' '.join(case['args'])}")
def test_same_choice(case: dict[str, object]) -> None:
    """Context, layers, split and overrides are the ones fit chose, in its order."""
    expected = case["fit"]
    assert isinstance(expected, dict)

    chosen = omniplan.fit(cases.model(str(case["model"])), _machine(str(case["machine"])), case["args"])  # type: ignore[arg-type]

    assert expected["n_ctx"] == chosen.n_ctx
    assert expected["n_gpu_layers"] == chosen.n_gpu_layers
    assert expected["tensor_split"] == list(chosen.tensor_split)
    assert expected["overrides"] == [[item.pattern, item.buffer_type] for item in chosen.overrides]


def test_gives_up_on_a_pinned_placement() -> None:
    """With ``-ngl`` set fit touches nothing, says why, and the load goes on (GLM diary: ngl=99 with --fit on)."""
    model = cases.model("zoo/gpt-oss-20b-MXFP4_MOE.gguf")

    chosen = omniplan.fit(model, _machine("mixed-3"), ["-c", "131072", "-np", "8", "-ngl", "99", "-ts", "0,0,1"])

    assert (False, 131072) == (chosen.changed, chosen.n_ctx)
    assert "-ngl" in chosen.failure

"""Loads that people logged with a build before b8929's row: Qwen3.5-122B on four Tesla P100, April 2026, real kernels.

The file had other types than the header at hand: the log counts 48 Q5_K, 96 Q4_K and one Q6_K beside Q8_0.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

import omniplan
from omniplan.domain.tensor_type import TYPE_BY_NAME
from omniplan.gguf.model.model import build_model
from omniplan.units import MIB
from tests.oracle.cases import DATA

FOLDER = DATA / "measurements"
ROWS = [json.loads(line) for line in (FOLDER / "loads_b8829.jsonl").read_text().splitlines()]
# What a log rounds to hundredths of a MiB.
ROUNDED = 0.01


@cache
def model() -> omniplan.Model:
    """The header with the types of the file that was loaded."""
    found = omniplan.load_model(FOLDER / "headers" / "Qwen3.5-122B-A10B-Q4_K_M.gguf")
    tensors = tuple(replace(tensor, type=TYPE_BY_NAME[_type(tensor)]) for tensor in found.header.tensors)
    return build_model(replace(found.header, tensors=tensors))


def _type(tensor: Any) -> str:
    if tensor.type.name == "f32":
        return "f32"
    if "_exps." in tensor.name:
        return "q5_K" if "ffn_down" in tensor.name else "q4_K"
    return "q6_K" if tensor.name == "output.weight" else "q8_0"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"][24:64])
def test_compute_buffers_and_splits_are_the_log_s(row: dict[str, Any]) -> None:
    """Every GPU's buffer and the host's, to the hundredth of a MiB that is printed, and both numbers of splits."""
    gpus = [
        {"name": f"CUDA{i}", "description": "Tesla P100-PCIE-16GB", "total_mib": 16269, "compute_capability": "6.0"}
        for i in range(4)
    ]

    found = omniplan.footprint(
        model(), omniplan.Machine.from_dict({"name": "p100", "gpus": gpus}), row["args"], build=row["build"]
    )

    sizes = {name: found.buffers[name].compute / MIB for name in row["compute"]}
    assert sizes == pytest.approx(row["compute"], abs=ROUNDED)
    assert found.graph_splits is not None
    assert [found.graph_splits.prefill, found.graph_splits.decode] == row["splits"]

"""Logs of real loads, each priced for its own build (``tests/data/measurements/README.md``)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

import omniplan
from omniplan.domain.footprint import BufferSize, ContextKind
from omniplan.llamacpp.ggml import table
from omniplan.llamacpp.ggml.registry import BACKENDS
from omniplan.units import MIB
from tests.headers import TensorRow, make_header
from tests.oracle import cases

Row = dict[str, Any]

# Every third, all of them with ``OMNIPLAN_EXAMPLES=3`` or more.
ROWS: Final = [row for row in cases.load("../measurements/loads") if row["backend"] in BACKENDS][
    :: max(1, 3 // int(os.environ.get("OMNIPLAN_EXAMPLES", "1")))
]
# The scheduler and allocator of 2024 are others.
TODAY: Final = 5000


def written(row: Row, folder: Path) -> omniplan.Model:
    """A decoder of the printed hyperparameters, most of it in the type that most tensors had."""
    h, base, top = row["hparams"], row["types"][0], row["types"][-1]
    e, f, v = h["n_embd"], h["n_ff"], h["n_vocab"]
    q, kv = (h[name] * h["n_embd_head_k"] for name in ("n_head", "n_head_kv"))
    shapes = {"attn_q": (e, q), "attn_k": (e, kv), "attn_v": (e, kv), "attn_output": (q, e)}
    shapes |= {"ffn_gate": (e, f), "ffn_up": (e, f), "ffn_down": (f, e)}
    layers = range(h["n_layer"])
    tensors: list[TensorRow] = [
        (f"blk.{il}.{name}.weight", base, shape) for il in layers for name, shape in shapes.items()
    ]
    tensors += [(f"blk.{il}.{name}_norm.weight", "f32", (e,)) for il in layers for name in ("attn", "ffn")]
    tensors += [
        ("token_embd.weight", base, (e, v)),
        ("output_norm.weight", "f32", (e,)),
        ("output.weight", top, (e, v)),
    ]
    keys = {
        "block_count": h["n_layer"],
        "context_length": h["n_ctx_train"],
        "embedding_length": e,
        "feed_forward_length": f,
    }
    keys |= {"attention.head_count": h["n_head"], "attention.head_count_kv": h["n_head_kv"], "vocab_size": v}
    keys |= {"attention.key_length": h["n_embd_head_k"], "attention.value_length": h["n_embd_head_v"]}
    keys |= {"rope.dimension_count": h["n_rot"], "rope.freq_base": h["freq_base_train"]}
    metadata = {"general.architecture": "llama", **{f"llama.{key}": value for key, value in keys.items()}}
    path = folder / "written.gguf"
    path.write_bytes(make_header({**metadata, "llama.attention.layer_norm_rms_epsilon": 1e-5}, tensors))
    return omniplan.load_model(path)


@pytest.fixture(scope="module")
def priced(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Row, dict[str, BufferSize]]]:
    """Every row with the buffers of its main context."""
    folder = tmp_path_factory.mktemp("models")
    return [(row, buffers(row, folder)) for row in ROWS]


def buffers(row: Row, folder: Path) -> dict[str, BufferSize]:
    gpu = {
        "name": f"{table.rows()[row['backend']].device}0",
        "total_mib": 1 << 18,
        "unified": row.get("unified", False),
    }
    machine = omniplan.Machine.from_dict({"name": "log", "gpus": [gpu], "memory": {"total_mib": 1 << 19}})
    of = cases.model(row["model"]) if row["model"] else written(row, folder)
    found = omniplan.footprint(of, machine, row["args"], build=row["build"])
    return dict(found.contexts[ContextKind.MAIN])


def figures(row: Row, sizes: dict[str, BufferSize], column: str) -> Iterator[tuple[float, float]]:
    """MiB as printed and as priced; what the log calls CPU may lie in memory that a device copies from."""
    for name, printed in row[f"{column}_mib"].items():
        host = f"{name}_Host" if name not in sizes else name
        yield printed, getattr(sizes.get(name, sizes.get(host, BufferSize())), column) / MIB


def test_caches_and_states_are_exact(priced: list[tuple[Row, dict[str, BufferSize]]]) -> None:
    """To the two decimals that are printed, sums of two lines to twice that."""
    off = [
        (row["id"], printed, ours)
        for row, sizes in priced
        for printed, ours in figures(row, sizes, "context")
        if abs(printed - ours) > 0.02
    ]

    assert off == []
    assert {row["backend"] for row in ROWS} == {"vulkan", "rocm", "metal"}


def test_compute_buffers_are_near(priced: list[tuple[Row, dict[str, BufferSize]]]) -> None:
    """Four of five within 5 % or 16 MiB, on devices and in RAM, and none short by more than 10 %."""
    found = [
        (row["id"], printed, ours)
        for row, sizes in priced
        if row["build"] >= TODAY
        for printed, ours in figures(row, sizes, "compute")
    ]
    near = [1 for _, printed, ours in found if abs(printed - ours) <= max(16, printed / 20)]

    assert [figure for figure in found if figure[2] < 0.9 * figure[1]] == []
    assert len(near) >= 0.8 * len(found)

"""Tensors that a file holds and the loader treats apart: nextn blocks, copies of rotary factors, rows read on demand.

Bytes are those of llama.cpp b11434 itself on the same headers.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from omniplan.domain.header import Header, Tensor, Value
from omniplan.domain.machine import Machine
from omniplan.domain.params import FlashAttn, ServerParams
from omniplan.domain.tensor_type import TYPE_BY_NAME
from omniplan.gguf import read_header
from omniplan.gguf.model import build_model
from omniplan.llamacpp.ggml.cuda import CUDA
from omniplan.llamacpp.load import weights
from omniplan.llamacpp.load.footprint import footprint
from tests.headers import TensorRow, write_gguf
from tests.unit.llamacpp.ggml.graphs import gpu

ARCHS = Path(__file__).parents[3] / "data" / "models" / "archs"
F32 = TYPE_BY_NAME["f32"]
GIB = 1 << 30


def with_nextn(name: str, *, holds: bool = True) -> Header:
    """The dumped header ``name`` with its last block a second time as a nextn block; ``holds`` its tensors."""
    header = read_header(str(ARCHS / f"{name}.gguf"))
    n_layer, n_embd = (header.metadata[f"{header.architecture}.{key}"] for key in ("block_count", "embedding_length"))
    assert isinstance(n_layer, int)
    assert isinstance(n_embd, int)
    arch = f"{header.architecture}."
    grown = {key: _grown(value, n_layer) for key, value in header.metadata.items() if key.startswith(arch)}
    metadata = {**header.metadata, **grown, f"{arch}block_count": n_layer + 1, f"{arch}nextn_predict_layers": 1}
    block = re.compile(rf"blk\.{n_layer - 1}\.(?!.*scale$|attn_(output|q|k|v)\.bias|ffn_(gate|up|down)\.bias)")
    again = [
        replace(t, name=block.sub(f"blk.{n_layer}.", t.name)) for t in header.tensors if block.match(t.name) and holds
    ]
    shapes = {"eh_proj": (2 * n_embd, n_embd), "enorm": (n_embd,), "hnorm": (n_embd,), "shared_head_norm": (n_embd,)}
    own = [_tensor(f"blk.{n_layer}.nextn.{stem}.weight", shape) for stem, shape in shapes.items() if holds]
    return replace(header, metadata=metadata, tensors=(*header.tensors, *again, *own))


def _grown(value: Value, n_layer: int) -> Value:
    return (*value, value[-1]) if isinstance(value, tuple) and len(value) == n_layer else value


def _tensor(name: str, shape: tuple[int, ...]) -> Tensor:
    return Tensor(name=name, type=F32, shape=shape, offset=0)


def held(header: Header) -> tuple[int, int]:
    """Bytes of weights and of caches without a GPU."""
    params = ServerParams(n_ctx=4096, n_parallel=1, n_ubatch=512, flash_attn=FlashAttn.ON, fit=False)
    sizes = footprint(build_model(header), Machine(name="cpu"), params).buffers.values()
    return sum(size.model for size in sizes), sum(size.context for size in sizes)


@pytest.mark.parametrize(
    ("name", "model", "context"),
    [
        ("deepseek2-moe", 4403296, 9437184),
        ("mistral4-moe", 4403296, 9437184),
        ("cohere2moe-moe", 6501312, 4980736),
        ("deepseek32-moe", 38156544, 11534336),
        ("deepseek4-moe", 85702592, 1040384),
        ("glm-dsa-moe", 38156544, 11534336),
        ("hy_v3-moe", 14767584, 8388608),
    ],
)
def test_a_nextn_block_is_skipped_but_for_what_its_loader_forgets(name: str, model: int, context: int) -> None:
    """Some loaders mark optional tensors of nextn blocks as optional and no more, so these are loaded all the same."""
    assert (model, context) == held(with_nextn(name))


def test_minimax_m3_caches_its_nextn_layers() -> None:
    """Nothing filters its layers, so one that the file does not hold has a cache too."""
    assert (7488608, 16777216) == held(with_nextn("minimax-m3-moe", holds=False))


def gemma4(path: Path) -> Header:
    """Gemma 4 with two sliding layers, then a full one, and rows of 6 GiB for all of them."""
    keys: dict[str, bool | int | float | str | list[bool]] = {
        "block_count": 3, "context_length": 4096, "embedding_length": 256, "feed_forward_length": 512,
        "attention.head_count": 2, "attention.head_count_kv": 2, "attention.sliding_window": 512,
        "attention.sliding_window_pattern": [True, True, False], "attention.key_length": 128,
        "attention.value_length": 128, "embedding_length_per_layer_input": 4096,
        "attention.layer_norm_rms_epsilon": 1e-6,
    }  # fmt: skip
    rows: list[TensorRow] = [
        ("token_embd.weight", "f32", (256, 1 << 17)),
        ("per_layer_token_embd.weight", "f32", (3 * 4096, 1 << 17)),
        ("output_norm.weight", "f32", (256,)),
        ("rope_freqs.weight", "f32", (64,)),
        *((f"blk.{il}.attn_norm.weight", "f32", (256,)) for il in range(3)),
    ]
    metadata = {"general.architecture": "gemma4", **{f"gemma4.{key}": value for key, value in keys.items()}}
    return read_header(str(write_gguf(path, metadata, rows)))


def test_only_full_layers_of_gemma4_take_rotary_factors(tmp_path: Path) -> None:
    """A device with sliding layers alone holds none."""
    model = build_model(gemma4(tmp_path / "g.gguf"))

    placed = weights.place(model, ("CPU", "CPU", "CUDA0", "CUDA0"), (gpu("CUDA0"),), (), host=CUDA)

    assert {2: "CUDA0"} == placed.factors


@pytest.mark.parametrize(
    ("lazy_over", "forced", "expected"),
    [
        (None, (), "CUDA_Host"),
        (4 * GIB, (), "CPU"),
        (8 * GIB, (), "CUDA_Host"),
        (4 * GIB, (("per_layer_token_embd.weight", "CUDA0"),), "CPU"),
    ],
)
def test_rows_read_on_demand_are_not_pinned(
    tmp_path: Path, lazy_over: int | None, forced: tuple[tuple[str, str], ...], expected: str
) -> None:
    """They are mapped from the file, whatever an override says."""
    model = build_model(gemma4(tmp_path / "g.gguf"))

    placed = weights.place(model, ("CUDA0",) * 4, (gpu("CUDA0"),), forced, host=CUDA, lazy_over=lazy_over)

    assert expected == placed.buffer_of["per_layer_token_embd.weight"]

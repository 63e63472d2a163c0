"""What ``-fa auto`` makes of a placement."""

from __future__ import annotations

from pathlib import Path

import pytest

import omniplan
from omniplan.domain.machine import Gpu, Machine
from omniplan.domain.model import Model
from omniplan.domain.params import ServerParams
from omniplan.gguf import read_header
from omniplan.gguf.model import build_model
from omniplan.llamacpp.load.place import place
from tests.headers import Item, TensorRow, write_gguf

ARCHS = Path(__file__).parents[3] / "data/models/archs"
WIDTH, HEAD, N_HEAD, N_FF = 256, 128, 2, 512
GPU = Gpu(name="CUDA0", description="g", total=1 << 34, free=1 << 34, compute_capability="8.9")


@pytest.fixture
def gemma4(tmp_path: Path) -> Model:
    """Four layers of Gemma 4, of which the last two read the caches of the first two."""
    keys: dict[str, Item] = {
        "block_count": 4, "context_length": 4096, "embedding_length": WIDTH, "feed_forward_length": N_FF,
        "attention.head_count": N_HEAD, "attention.sliding_window": 512, "attention.shared_kv_layers": 2,
        "attention.sliding_window_pattern": [True, False, True, False], "attention.key_length": HEAD,
        "attention.value_length": HEAD, "attention.layer_norm_rms_epsilon": 1e-6,
    }  # fmt: skip
    rows: list[TensorRow] = [("token_embd.weight", "f32", (WIDTH, 512)), ("output_norm.weight", "f32", (WIDTH,))]
    for il in range(4):
        norms = {
            "attn": WIDTH,
            "attn_q": HEAD,
            "attn_k": HEAD,
            "post_attention": WIDTH,
            "ffn": WIDTH,
            "post_ffw": WIDTH,
        }
        rows += [(f"blk.{il}.{stem}_norm.weight", "f32", (size,)) for stem, size in norms.items()]
        rows += [(f"blk.{il}.attn_{part}.weight", "f32", (WIDTH, HEAD * N_HEAD)) for part in "qkv"]
        rows += [(f"blk.{il}.ffn_{part}.weight", "f32", (WIDTH, N_FF)) for part in ("gate", "up")]
        rows += [(f"blk.{il}.attn_output.weight", "f32", (HEAD * N_HEAD, WIDTH))]
        rows += [(f"blk.{il}.ffn_down.weight", "f32", (N_FF, WIDTH))]
    metadata: dict[str, Item] = {
        "general.architecture": "gemma4",
        **{f"gemma4.{key}": value for key, value in keys.items()},
    }
    return build_model(read_header(str(write_gguf(tmp_path / "g.gguf", metadata, rows))))


def test_a_layer_may_attend_on_its_device_to_the_cache_of_another(gemma4: Model) -> None:
    """The check asks for the device of the layer, not of the cache: flash attention stays on."""
    machine = Machine(name="m", gpus=(GPU,))

    placed = place(gemma4, machine, ServerParams(n_ctx=4096, n_parallel=1, n_gpu_layers=3))

    assert ("CPU", "CPU", "CUDA0", "CUDA0", "CUDA0") == placed.layers
    assert placed.context.flash_attn


def test_attention_outside_the_layers_is_not_asked() -> None:
    """minimax-m3's sparse layers build their own attention: ``-fa auto`` stays on with all layers on the CPU."""
    machine = Machine(name="one", gpus=(GPU,))

    priced = omniplan.footprint(ARCHS / "minimax-m3-moe.gguf", machine, ["-c", "4096", "-np", "1", "-ngl", "1"])

    assert priced.flash_attn
    assert 46_141_440 == priced.buffers["CUDA0"].compute  # oracle/arch_cases.jsonl

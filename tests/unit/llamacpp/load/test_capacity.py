"""Graphs that have no room in the scheduler's table; the numbers are those at which llama.cpp b11434 aborts."""

from __future__ import annotations

from pathlib import Path

import pytest

from omniplan.domain.model import Model
from omniplan.domain.params import ServerParams
from omniplan.errors import ArgumentError
from omniplan.gguf import read_header
from omniplan.gguf.model import build_model
from omniplan.llamacpp.load import capacity
from omniplan.llamacpp.load.context import Context, resolve

ARCHS = Path(__file__).parents[3] / "data" / "models" / "archs"
PHI_4, PHI_3_MEDIUM = 243, 245


def loaded(name: str) -> tuple[Model, Context]:
    model = build_model(read_header(str(ARCHS / f"{name}.gguf")))
    return model, resolve(model, ServerParams(n_ctx=4096, n_ubatch=512), flash_attn=True)


@pytest.mark.parametrize(("n_model", "n_graph"), [(PHI_4, 2064), (PHI_3_MEDIUM, 2104), (100, 1032)])
def test_a_graph_that_is_too_large_for_its_model_is_refused(n_model: int, n_graph: int) -> None:
    """phi-4 in two slots with caches of their own in q8_0 is the first that does not fit."""
    model, context = loaded("phi3-dense")

    with pytest.raises(ArgumentError, match="--kv-unified"):
        capacity.check(model, context, n_model, n_graph)


@pytest.mark.parametrize(
    ("name", "n_model", "n_graph"),
    [
        ("phi3-dense", PHI_4, 1984),
        ("phi3-dense", 257, 4099),
        ("qwen35-dense", 100, 32771),
        ("phi3-dense", 1 << 20, 1 << 23),
    ],
)
def test_a_graph_with_room_passes(name: str, n_model: int, n_graph: int) -> None:
    """Room jumps from prime to prime; hybrid models have more of it, by the token."""
    model, context = loaded(name)

    capacity.check(model, context, n_model, n_graph)

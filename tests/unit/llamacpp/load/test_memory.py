"""Caches and states whose bytes no case of the oracle shows; the figures are those of llama.cpp's own library."""

from __future__ import annotations

from pathlib import Path

import omniplan
from tests.oracle import cases

ARCHS = Path(__file__).parents[3] / "data" / "models" / "archs"


def context(arch: str, *args: str) -> dict[str, int]:
    """Bytes of context per buffer with every layer on one GPU."""
    where = ["-c", "4096", "-np", "1", "-ub", "496", "-ngl", "99", "-fa", "on"]
    priced = omniplan.footprint(ARCHS / f"{arch}.gguf", cases.machines()["rtx4090-arch"], [*where, *args])
    return {name: size.context for name, size in priced.buffers.items() if size.context}


def test_a_convolution_of_ngrams_keeps_its_history() -> None:
    """qwen4exp: a delta net's state, pooled keys, and the last inputs of the PLE module's convolution."""
    assert context("qwen4exp-moe") == {"CUDA0": 6_468_608}

"""Architectures that the oracle has no header of, on small models of our own.

The library of b11549 counts the same bytes and splits, but for gemma4, whose per-layer rows it scales in another place
than b11434 does: those figures are the source's, read.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import omniplan
from omniplan.domain.footprint import GraphSplits
from tests.oracle import cases, small

# Model, context and compute bytes of the GPU, then of the host, with flash attention and without; splits.
FIGURES = {
    "apertus": ((3808512, 8388608, 7124736), (131072, 0, 6112768), 27944832, 11187840, 2),
    "bitnet": ((4466944, 8388608, 7632640), (131072, 0, 6112768), 27944832, 11187840, 3),
    "deepseek2-ocr": ((9315328, 8388608, 8394496), (131072, 0, 6112768), 27944832, 11187840, 2),
    "gemma3n": ((71213312, 29360128, 44967552), (3014656, 0, 18568320), 56895360, 25417088, 2),
    "gemma4": ((12878848, 4980736, 11699840), (196608, 0, 7394432), 29214592, 14243200, 2),
}


def _priced(arch: str, folder: Path, *more: str) -> omniplan.Footprint:
    path = small.MODELS[arch].write(arch, folder)
    return omniplan.footprint(path, cases.machines()[small.MACHINE], [*small.ARGS, *more])


@pytest.mark.parametrize("arch", FIGURES)
def test_bytes_and_splits(arch: str, tmp_path: Path) -> None:
    """Weights, caches and compute buffers to the byte."""
    gpu, host, gpu_without, host_without, splits = FIGURES[arch]

    fast, slow = _priced(arch, tmp_path), _priced(arch, tmp_path, "-fa", "off")

    assert {"CUDA0": gpu, "CUDA_Host": host} == small.figures(fast.buffers)
    assert (gpu_without, host_without) == (slow.buffers["CUDA0"].compute, slow.buffers["CUDA_Host"].compute)
    assert {GraphSplits(prefill=splits, decode=splits)} == {fast.graph_splits, slow.graph_splits}


def test_plm_runs_without_flash_attention_alone(tmp_path: Path) -> None:
    """With it the graph cannot be built, and llama.cpp aborts."""
    priced = _priced("plm", tmp_path, "-fa", "off")

    assert {"CUDA0": (3184128, 8388608, 27944832), "CUDA_Host": (131072, 0, 11187840)} == small.figures(priced.buffers)
    with pytest.raises(omniplan.UnsupportedModel, match="pass -fa off"):
        _priced("plm", tmp_path)

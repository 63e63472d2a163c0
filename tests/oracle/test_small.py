"""Architectures that the oracle has no header of, on small models of our own (``tests.oracle.small``).

Those that came after b11434 are in the files of the builds that have them (``tests.oracle.test_builds``).

The library of b11549 has counted them, and the files of src/models that build them are the same in b11434, but for
gemma4's: its figures for b11434 are what the source says, read.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import omniplan
from omniplan.gguf.model.architectures import came
from omniplan.llamacpp.build import builds
from tests.oracle import cases, small
from tests.oracle.cases import differences

CASES = [case for case in cases.load("b11549") if case["model"].startswith("small/")]


def test_headers_are_as_written(tmp_path: Path) -> None:
    """The files in the repository come from the descriptions beside this test."""
    for arch, model in small.MODELS.items():
        assert model.write(arch, tmp_path).read_bytes() == (small.FOLDER / f"{arch}.gguf").read_bytes()


def test_every_figure_is_the_same_in_b11434() -> None:
    """Bytes of every buffer and splits, with flash attention and without."""
    changed = builds()[11549].graphs
    found = {cases.label(case): differences(case, 11434) for case in CASES if Path(case["model"]).stem not in changed}

    assert {Path(case["model"]).stem for case in CASES} == set(small.MODELS) - came().keys()
    assert {label: wrong for label, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize(
    ("flash_attn", "gpu", "host"), [("on", 11699840, 7394432), ("off", 29214592, 14243200)], ids=["on", "off"]
)
def test_gemma4_looks_its_rows_up_after_the_embeddings(flash_attn: str, gpu: int, host: int) -> None:
    """And drops rows without logits behind the final norm alone."""
    args = ["-c", "4096", "-np", "1", "-ub", "496", "-ngl", "99", "-fa", flash_attn]

    priced = omniplan.footprint(cases.model("gemma4"), cases.machines()["rtx4090-arch"], args)

    assert (gpu, host) == (priced.buffers["CUDA0"].compute, priced.buffers["CUDA_Host"].compute)


def test_plm_runs_without_flash_attention_alone() -> None:
    """With it the graph cannot be built, and llama.cpp aborts."""
    with pytest.raises(omniplan.UnsupportedModel, match="pass -fa off"):
        omniplan.footprint(cases.model("plm"), cases.machines()["rtx4090-arch"], ["-c", "4096", "-ngl", "99"])

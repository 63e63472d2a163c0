"""Embedding and reranking servers: pooled graphs of decoders and of encoders, counted by the library of b11549.

The files of llama.cpp that build them are the same in b11434.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import omniplan
from omniplan.domain.defaults import DEFAULT_BUILD
from omniplan.llamacpp.graph import families
from tests.oracle import cases, encoders, small
from tests.oracle.cases import differences

CASES = cases.load("embeddings")
QWEN = cases.model("Qwen3-0.6B-Q8_0")
MACHINE = cases.machines()["single-3090"]
ARGS = ("-c", "8192", "-np", "1", "-ngl", "99")


def test_headers_are_as_written(tmp_path: Path) -> None:
    """The files in the repository come from their descriptions."""
    for arch, model in encoders.MODELS.items():
        assert model.write(arch, tmp_path).read_bytes() == (small.FOLDER / f"{arch}.gguf").read_bytes()


@pytest.mark.parametrize("build", [DEFAULT_BUILD, 11549])
def test_every_figure_of_the_library(build: int) -> None:
    """Of every way of pooling, with one GPU and two, with flash attention and without, some layers on the CPU."""
    found = {cases.label(case): differences(case, build) for case in CASES}

    assert len(found) >= 50
    assert {label: wrong for label, wrong in found.items() if wrong} == {}
    assert set(encoders.MODELS) <= {Path(case["model"]).stem for case in CASES}
    assert all(families.is_known(arch) for arch in encoders.MODELS)


@pytest.mark.parametrize("flags", [("--embedding",), ("--rerank",)])
def test_whether_it_fits_is_known(flags: tuple[str, ...]) -> None:
    """Nothing about such a server is left out, and the rows of a whole batch are counted."""
    priced = omniplan.footprint(QWEN, MACHINE, [*ARGS, *flags, "-ub", "1024"])

    assert priced.unpriced == ()
    assert priced.fits
    assert priced.output_buffer == 4 * 1024 * (QWEN.hparams.n_vocab + QWEN.hparams.n_embd)


def test_a_header_says_how_to_pool() -> None:
    """Without --pooling; a header that says nothing pools nothing."""
    bert = cases.model("bert")
    asked, unasked = (
        omniplan.footprint(bert, MACHINE, [*ARGS, "--embedding", *flags]).n_nodes
        for flags in (("--pooling", "cls"), ())
    )

    assert asked == unasked + 1


def test_a_mean_of_rows_that_are_not_there_is_refused() -> None:
    """As the library, which aborts: 512 rows of 513 tokens in three slots."""
    with pytest.raises(omniplan.UnsupportedModel, match="pass a -ub that 3 slots divide"):
        omniplan.footprint(QWEN, MACHINE, ["-c", "8192", "-np", "3", "-ngl", "99", "--embedding", "--pooling", "mean"])

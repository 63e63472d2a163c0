"""Context checkpoints: their size as the library of b11739 saved them on the CPU, and how many there may be."""

from __future__ import annotations

import pytest

import omniplan
from benchmarks.measured.headers import path_of
from omniplan.units import MIB
from tests.oracle import cases

MACHINE = cases.machines()["single-3090"]
ARGS = ("-c", "2048", "-np", "2", "-no-kvu", "-ub", "64", "-ngl", "0")
# llama_state_seq_get_size_ext with LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY after 1,024 tokens of one of two sequences.
SAVED = {
    "qwen35-dense": 140340,
    "gemma3-dense": 33212,
    "gpt-oss-moe": 33212,
    "lfm2-dense": 35304,
    "mamba-dense": 536652,
    "deepseek4-moe": 107228,
    "falcon-h1-dense": 548940,
    "qwen4exp-moe": 177212,
}
# Counts and positions that stand beside the bytes of cells and states.
_FRAME = 1024


@pytest.mark.parametrize("name", SAVED)
def test_the_size_of_one_is_what_is_saved(name: str) -> None:
    """Recurrent states, windows, both, and DeepSeek-V4's compressors, but for a frame of some bytes per cell."""
    priced = omniplan.footprint(cases.model(name), MACHINE, ARGS)

    assert 0 <= SAVED[name] - priced.checkpoint < _FRAME
    assert priced.n_checkpoints == 64


@pytest.mark.parametrize(
    ("name", "flags", "expected"),
    [
        ("qwen35-dense", ("-ctxcp", "4"), 8),
        ("qwen35-dense", ("-ctxcp", "0"), 0),
        ("qwen35-dense", ("--embedding",), 0),
        ("gemma3-dense", ("--swa-full",), 0),
        ("llama-dense", (), 0),
    ],
)
def test_there_are_as_many_as_may_be_asked_for(name: str, flags: tuple[str, ...], expected: int) -> None:
    """None where nothing needs saving: every token can be taken back, or no prompt is continued."""
    assert omniplan.footprint(cases.model(name), MACHINE, [*ARGS, *flags]).n_checkpoints == expected


def test_the_cache_of_what_drafts_is_saved_whole() -> None:
    """One f16 layer over all of a slot's cells, beside the states: a plain cache knows of no parts."""
    model = omniplan.load_model(path_of("Qwen3.6-27B-MTP-Q4_K_M.gguf"))
    plain, drafting = (
        omniplan.footprint(model, MACHINE, ["-c", "32768", "-np", "2", "-no-kvu", "-ngl", "0", *flags]).checkpoint
        for flags in ((), ("--spec-type", "draft-mtp"))
    )

    h = model.hparams
    assert plain == 149.625 * MIB
    assert drafting - plain == 16384 * 2 * (h.n_embd_k_gqa(64) + h.n_embd_v_gqa(64))


def test_slots_and_a_shared_cache_change_no_size() -> None:
    """One is of one sequence."""
    sizes = {
        omniplan.footprint(cases.model(name), MACHINE, ["-c", "4096", "-ngl", "99", *flags]).checkpoint
        for name in ("gemma3-dense",)
        for flags in (("-np", "1"), ("-np", "4"), ("-np", "4", "-kvu"), ("-np", "1", "-ub", "2048"))
    }

    assert len(sizes) == 1

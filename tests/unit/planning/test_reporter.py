"""What the search tells: how much was missing, which miss was nearest, and what was weighed."""

from __future__ import annotations

from omniplan.domain.evidence import ReasonVerdict
from omniplan.domain.machine import Gpu
from omniplan.planning.reporter import Reporter
from omniplan.units import GIB, MIB

GPU = Gpu(name="CUDA0", description="RTX", total=24 * GIB, free=23 * GIB)


def test_a_model_that_is_too_big_says_by_how_much() -> None:
    """Need and budget in words, the difference, and the same difference as the nearest miss."""
    told = Reporter()
    told.too_big_for(GPU, 25 * GIB, 22 * GIB)
    (rejection,) = told.rejections

    assert rejection.verdict is ReasonVerdict.REJECTED
    assert "take 25.00 GiB, CUDA0 (RTX) has 22.00 GiB after headroom: short by 3,072 MiB" in rejection.statement
    assert told.closest == {"CUDA0": 3 * GIB}


def test_the_nearest_miss_is_kept() -> None:
    """The one that lacks least in all, and of equals the first."""
    told = Reporter()
    for need in (30, 25, 28, 25):
        told.too_big_for(GPU, need * GIB, 22 * GIB)

    assert told.closest == {"CUDA0": 3 * GIB}
    assert len(told.rejections) == 4


def test_what_was_told_since_can_be_taken_back() -> None:
    """Notes and rejections, not what came before."""
    told = Reporter()
    told.second_gpu(["CUDA1"], 0.2, 0.1)
    told.too_big_for(GPU, 2 * MIB, MIB)
    before = told.recall()
    told.second_gpu(["CUDA1"], 0.3, 0.1)
    told.too_big_for(GPU, 3 * MIB, MIB)
    told.restore(before)

    assert (len(told.notes), len(told.rejections)) == before == (1, 1)


def test_a_second_gpu_must_save_its_margin() -> None:
    """Exactly as much is enough; less, or nothing, is a rejection that says so."""
    told = Reporter()
    for gain in (0.1, 0.09, -0.5):
        told.second_gpu(["CUDA1", "CUDA2"], gain, 0.1)

    assert [note.subject for note in told.notes] == ["CUDA1, CUDA2"]
    assert "saves 10% of the predicted time, more than the 10%" in told.notes[0].statement
    assert "saves 9% of the predicted time, less than" in told.rejections[0].statement
    assert "saves no predicted time" in told.rejections[1].statement

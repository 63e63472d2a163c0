"""What ``--fit`` chooses beside a draft, against the library of b11549 (``make certify`` asks it again)."""

from __future__ import annotations

import os

import pytest

from omniplan.llamacpp.fit.fit import fit
from omniplan.llamacpp.flags.args import parse
from tests.oracle import drafts, fits
from tests.oracle.fits import Case

ALL = fits.load()
# Every tenth, all of them with ``OMNIPLAN_EXAMPLES=10`` or more.
SAMPLE = ALL[:: max(1, 10 // int(os.environ.get("OMNIPLAN_EXAMPLES", "1")))]


@pytest.mark.parametrize("case", SAMPLE, ids=fits.label)
def test_same_choice(case: Case) -> None:
    """Context, layers, split and overrides, in order, with a draft model or nextn layers beside the model."""
    assert fits.differences(case) == []


def test_every_case_has_been_chosen_for() -> None:
    """What is recorded is what ``make certify`` asks, and in many of them fit has something to do."""
    assert [fits.label(case) for case in ALL] == [fits.label(case) for case in fits.CASES]
    assert len(ALL) >= 100
    assert sum(case["fit"]["n_gpu_layers"] >= 0 for case in ALL) > len(ALL) // 3


def test_a_draft_takes_room() -> None:
    """The same command keeps less of the model on a GPU that also holds a draft."""
    case = next(case for case in ALL if case["draft"] and case["fit"]["n_gpu_layers"] > 0)
    model, args = drafts.served(case)
    alone = fit(drafts.model_of(case["model"]), fits.machine(case), parse(args[: args.index("-md")]))
    beside = fit(model, fits.machine(case), parse(args))

    assert (alone.n_ctx, alone.n_gpu_layers, len(alone.overrides)) != (
        beside.n_ctx,
        beside.n_gpu_layers,
        len(beside.overrides),
    )

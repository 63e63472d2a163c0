"""Draft models and nextn layers: figures recorded from the library of b11549 (``make certify`` asks it again)."""

from __future__ import annotations

import os

import pytest

from tests.oracle import drafts
from tests.oracle.drafts import Case

ALL = drafts.load()
# Every fourth, all of them with ``OMNIPLAN_EXAMPLES=4`` or more; refusals are cheap.
STEP = max(1, 4 // int(os.environ.get("OMNIPLAN_EXAMPLES", "1")))
SAMPLE = [case for i, case in enumerate(ALL) if "error" in case or i % STEP == 0]


@pytest.mark.parametrize("case", SAMPLE, ids=drafts.label)
def test_every_figure_of_the_library(case: Case) -> None:
    """Three columns of every buffer of both contexts, layers, splits, copies and context, to the byte; or a refusal."""
    assert drafts.differences(case) == []


def test_every_case_has_been_counted() -> None:
    """What is recorded is what ``make certify`` asks, and every kind of draft is in it."""
    assert [drafts.label(case) for case in ALL] == [drafts.label(case) for case in drafts.CASES]
    assert len(ALL) >= 100
    assert {kind for case in ALL for kind in case.get("beside", ())} == {"draft", "mtp"}

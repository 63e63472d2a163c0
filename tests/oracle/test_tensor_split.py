"""``-sm tensor``: what every GPU holds, recorded from b11549, which really loaded the models over simulated GPUs.

``make certify`` has the library load all of them again.
"""

from __future__ import annotations

import os
from typing import Final

import pytest

from omniplan.certify import library
from omniplan.errors import ArgumentError
from tests.oracle import cases, cut, drift
from tests.oracle.cases import Case, differences

ALL: Final = cases.load("tensor_split")
PRICED: Final = [case for case in ALL if "error" not in case]
REFUSED: Final = [case for case in ALL if "error" in case]
# Every fourth, all of them with ``OMNIPLAN_EXAMPLES=4`` or more.
SAMPLE: Final = PRICED[:: max(1, 4 // int(os.environ.get("OMNIPLAN_EXAMPLES", "1")))]


@pytest.mark.parametrize("case", SAMPLE, ids=cases.label)
def test_every_figure_of_the_library(case: Case) -> None:
    """Layers, three columns of every GPU's buffer and of RAM, splits of both graphs and context, to the byte."""
    assert differences(case, library.BUILD) == []


@pytest.mark.parametrize("case", REFUSED, ids=cases.label)
def test_what_the_library_refuses(case: Case) -> None:
    """Architectures it has no rules for, no flash attention, no GPU, and what makes it abort."""
    with pytest.raises(ArgumentError):
        cases.price(case, build=library.BUILD)


def test_there_are_enough_cases() -> None:
    """One to four GPUs; real widths, heads and types in every family of cut headers."""
    gpus = {sum(name.startswith("CUDA") and name != "CUDA_Host" for name in case["buffers"]) for case in PRICED}

    assert len(PRICED) >= 100
    assert len(REFUSED) >= 20
    assert gpus >= {1, 2, 3, 4}
    assert {name for name in cut.LAYERS if any(name in case["model"] for case in PRICED)} == set(cut.LAYERS)


@pytest.mark.skipif(not library.is_available(), reason="the pinned xllamacpp is not installed")
def test_the_library_loads_what_is_recorded() -> None:
    """Each GPU's bytes, although llama.cpp only tells the largest."""
    case = next(case for case in PRICED if "llama-dense" in case["model"])

    outcome = drift.ask(case)

    assert outcome.counted is not None
    assert drift.row(outcome) == case

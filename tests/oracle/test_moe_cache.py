"""``--moe-cache-mib``: figures recorded from the library of b11549 (``make certify`` asks it for all of them again)."""

from __future__ import annotations

import os

import pytest

from omniplan.certify import library
from omniplan.errors import ArgumentError
from omniplan.units import MIB
from tests.oracle import cases, drift
from tests.oracle.cases import Case, differences

BUILD = 11549
FLAG = "--moe-cache-mib"
ALL = cases.load("moe_cache")
PRICED = [case for case in ALL if "error" not in case]
# Every fourth, all of them with ``OMNIPLAN_EXAMPLES=4`` or more.
SAMPLE = PRICED[:: max(1, 4 // int(os.environ.get("OMNIPLAN_EXAMPLES", "1")))]
REFUSED = [case for case in ALL if "error" in case]


@pytest.mark.parametrize("case", SAMPLE, ids=cases.label)
def test_every_figure_of_the_library(case: Case) -> None:
    """Layers, three columns of every buffer, splits of both graphs, copies and context, to the byte."""
    assert differences(case, BUILD) == []


@pytest.mark.parametrize("case", REFUSED, ids=cases.label)
def test_what_the_library_refuses(case: Case) -> None:
    """A model without experts, no GPU, tensors that are split, and a cache too small for one token."""
    with pytest.raises(ArgumentError) as refused:
        cases.price(case, build=BUILD)

    assert refused.value.flag == FLAG


@pytest.mark.skipif(not library.is_available(), reason="the pinned xllamacpp is not installed")
def test_the_library_counts_it_here_too() -> None:
    """The recorded figures again, from the library itself."""
    outcome = drift.ask(next(case for case in PRICED if case["model"].startswith("llama-moe")), build=BUILD)

    assert [check for check in outcome.checks if check.planned != check.counted] == []
    assert any(check.what == "CUDA0 context" and int(check.counted) > 4 * MIB for check in outcome.checks)


def test_a_load_fills_up_the_last_row_of_each_bank() -> None:
    """To 512 elements, as CUDA's buffers have it: 102 bytes of mxfp4 for a row of 2880, in whole steps of 128 bytes."""
    case = next(case for case in PRICED if case["model"] == "gpt-oss-20b-MXFP4_MOE")

    load, measured = (cases.price({**case, "no_alloc": which}, build=BUILD) for which in (False, True))
    more = {name: load.buffers[name].context - size.context for name, size in measured.buffers.items()}

    assert more == {name: 3 * 128 if name == "CUDA0" else 0 for name in more}


def test_there_are_enough_cases() -> None:
    """Over twenty models, one to four GPUs, budgets from a MiB to 40 GiB; some of them really loaded."""
    assert len(PRICED) >= 50
    assert len({case["model"] for case in PRICED}) >= 20
    assert sum(not cases.is_measured(case) for case in PRICED) >= 8
    assert len(REFUSED) >= 4
    assert all(FLAG in case["args"] for case in ALL)


def test_a_build_without_it_ignores_the_bytes_and_leaves_the_verdict_open() -> None:
    """The figures are those without the flag, and what is missing is named."""
    case = PRICED[0]
    at = case["args"].index(FLAG)

    asked, plain = cases.price(case), cases.price({**case, "args": case["args"][:at] + case["args"][at + 2 :]})

    assert asked.buffers == plain.buffers
    assert [item.subject for item in asked.unpriced] == [FLAG]
    assert asked.fits is not True


def test_who_gets_how_much_without_a_split_is_not_known() -> None:
    """llama.cpp goes by what is free after the load: on one GPU that decides nothing."""
    shared = next(case for case in PRICED if case["machine"] == "dual-4090-5070ti" and "-ts" not in case["args"])
    alone = next(case for case in PRICED if case["machine"] == "single-3090")

    assert [item.subject for item in cases.price(shared, build=BUILD).unpriced] == [FLAG]
    assert cases.price(alone, build=BUILD).unpriced == ()

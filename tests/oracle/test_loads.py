"""Buffers of models that are loaded, which are not those that ``--fit`` measures: recorded from the library."""

from __future__ import annotations

import os

import pytest

from omniplan.certify import library
from omniplan.units import MIB
from tests.oracle import cases, drift
from tests.oracle.cases import Case, differences

ALL = cases.load("loads")
SAMPLE = ALL[:: max(1, 3 // int(os.environ.get("OMNIPLAN_EXAMPLES", "1")))]
QWEN = "Qwen3-0.6B-Q8_0"


def moved(case: Case) -> dict[str, int]:
    """Compute bytes by which a load is above what is measured, where they differ."""
    load, dry = cases.price(case).buffers, cases.price({**case, "no_alloc": True}).buffers
    return {name: diff for name in load if (diff := load[name].compute - dry[name].compute)}


def test_every_figure_of_a_load() -> None:
    """Layers, three columns of every buffer, splits of both graphs, copies and context."""
    found = {cases.label(case): differences(case, library.BUILD) for case in SAMPLE}

    assert len(ALL) >= 50
    assert {1, 4} == {case["sched_copies"] for case in SAMPLE}
    assert {label: wrong for label, wrong in found.items() if wrong} == {}


def test_a_gpu_that_takes_over_from_another_keeps_one_input_less() -> None:
    """The norm of its first layer is pinned to it: normed and plain activations need not both come in, four times."""
    case = next(case for case in ALL if QWEN in case["model"] and case["machine"] == "mixed-3")
    n_embd, n_ubatch = cases.model(QWEN).hparams.n_embd, 1024

    assert moved(case) == dict.fromkeys(("CUDA1", "CUDA2"), -4 * n_embd * n_ubatch * 4)


@pytest.mark.parametrize(("machine", "args"), [("single-3090", ("-ngl", "99")), ("mixed-3", ("-ngl", "20"))])
def test_without_copies_nothing_differs(machine: str, args: tuple[str, ...]) -> None:
    """One GPU, or layers on the CPU: a load reserves what was measured."""
    case = {"model": QWEN, "machine": machine, "args": ["-c", "8192", "-np", "4", *args], "no_alloc": False}

    assert moved(case) == {}


def test_the_last_reservation_counts() -> None:
    """minimax-01 as one sequence takes more than as four, and is measured as four: its decay is tokens squared."""
    case = next(case for case in ALL if "minimax-01" in case["model"] and "1,2" in case["args"])

    assert {"CUDA0", "CUDA_Host"} == moved(case).keys()
    assert min(moved(case).values()) >= MIB


@pytest.mark.skipif(not library.is_available(), reason="the pinned xllamacpp is not installed")
def test_the_library_loads_what_is_recorded() -> None:
    """A model with all its bytes, on two GPUs that keep none."""
    case = next(case for case in ALL if "llama-dense" in case["model"])

    outcome = drift.ask(case)

    assert outcome.counted is not None
    assert drift.row(outcome) == case

"""Errors of predictions: the rows are the page's, and a comparison is off by what its seconds are spent on."""

from __future__ import annotations

import pytest

import omniplan
from omniplan.domain.prediction import Objective, Phase
from omniplan.predict.accuracy import Devices, accuracies, comparison_error
from tests.contracts.sources import ROOT

MODEL = omniplan.load_model("tests/data/models/zoo/Qwen3-30B-A3B-Q4_K_M.gguf")
MACHINE = omniplan.load_machine("dual-4090-5070ti")
ALL, SOME, NONE = (("-ngl", layers, *more) for layers, more in (("99", ()), ("99", ("-ncmoe", "24")), ("0", ())))


def predicted(args: tuple[str, ...], n_gen: int = 256) -> omniplan.Prediction:
    return omniplan.predict(MODEL, MACHINE, args, n_prompt=2048, n_gen=n_gen)


def test_rows_are_those_of_the_accuracy_page() -> None:
    """``benchmarks/accuracy.py`` writes both at once; neither is edited by hand."""
    page = (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8").splitlines()
    lines = [
        f"| {devices} | {phase} | {row.n_rows} | {row.median:.1%} | {row.p90:.1%} "
        f"| {row.n_pairs} | {row.pair_median:.1%} | {row.pair_p90:.1%} |"
        for devices, phases in accuracies().items()
        for phase, row in phases.items()
    ]

    assert len(lines) == len(Devices) * len(Phase)
    assert [line for line in lines if line not in page] == []


@pytest.mark.parametrize(("args", "devices"), [(ALL, Devices.GPUS), (SOME, Devices.MIXED), (NONE, Devices.CPU)])
def test_devices_are_where_a_token_is_read(args: tuple[str, ...], devices: Devices) -> None:
    """Of -ngl, -ncmoe and neither."""
    assert Devices.of(predicted(args)) is devices


@pytest.mark.parametrize("args", [ALL, SOME, NONE])
def test_a_phase_has_its_own_error_and_a_request_one_between(args: tuple[str, ...]) -> None:
    """The longer the answer, the more a request is off by what decoding is."""
    prompt, decode = (
        comparison_error(objective, predicted(args)) for objective in (Objective.PROMPT, Objective.DECODE)
    )
    brief, long = (comparison_error(Objective.REQUEST, predicted(args, n_gen)) for n_gen in (1, 4096))
    row = accuracies()[Devices.of(predicted(args))]

    assert (prompt, decode) == (row[Phase.PROMPT].pair_median, row[Phase.DECODE].pair_median)
    assert min(prompt, decode) <= min(brief, long) <= max(brief, long) <= max(prompt, decode)
    assert abs(long - decode) < abs(brief - decode)


def test_of_two_the_less_certain_counts() -> None:
    """A comparison is no better than the worse of what it compares."""
    sure, unsure = (comparison_error(Objective.DECODE, predicted(args)) for args in (ALL, SOME))

    assert sure < unsure == comparison_error(Objective.DECODE, predicted(ALL), predicted(SOME))

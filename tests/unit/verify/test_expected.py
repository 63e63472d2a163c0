"""What a log is held against."""

from __future__ import annotations

from dataclasses import replace

import pytest

import omniplan
from omniplan.verify.expected import of_model
from omniplan.verify.logs import parse_log
from tests import diary
from tests.log_writer import ERAS, render

ARGS = ("-c", "8192", "-np", "1", "-ngl", "99", "-ts", "32,16", "--fit", "off")


@pytest.mark.parametrize("is_dry", [True, False], ids=["rehearsal", "load"])
def test_a_rehearsal_is_held_against_a_rehearsal(*, is_dry: bool) -> None:
    """Over two GPUs it prints more compute than a load does, and that is no deviation."""
    report = parse_log(render(diary.glm(), next(iter(ERAS.values()))))
    (load, *others) = report.loads
    report = replace(report, loads=(replace(load, is_dry=is_dry), *others))
    model, machine = omniplan.load_model(diary.MODEL), omniplan.load_machine(diary.MACHINE)

    priced = of_model(report, model, machine, ARGS).footprint

    assert priced is not None
    assert report.build is not None
    expected, other = (
        omniplan.footprint(model, machine, ARGS, no_alloc=no_alloc, build=report.build.number)
        for no_alloc in (is_dry, not is_dry)
    )
    assert priced.buffers == expected.buffers != other.buffers


def test_what_is_loaded_beside_the_model_is_known_to_the_speed_as_well() -> None:
    """A run with a draft is held against a prediction that has the draft at hand."""
    report = parse_log(render(diary.glm(), next(iter(ERAS.values()))))
    model, machine = omniplan.load_model(diary.MODEL), omniplan.load_machine(diary.MACHINE)
    args = (*ARGS, "--spec-type", "draft-simple", "-md", "tests/data/models/archs/llama-dense.gguf")
    found = of_model(report, model, machine, args).prediction

    assert found is not None
    assert found.assumptions == omniplan.predict(model, machine, args).assumptions
    assert not any("not at hand" in text for text in found.assumptions)

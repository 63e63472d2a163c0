"""Every build beside the default one: figures recorded from its own library (``tests.oracle.drift --record``)."""

from __future__ import annotations

import pytest

from omniplan.domain.defaults import DEFAULT_BUILD
from omniplan.llamacpp.build import Build, builds
from tests.oracle import cases
from tests.oracle.cases import differences

OTHERS = [build for build in builds().values() if build.number != DEFAULT_BUILD]


@pytest.mark.parametrize("build", OTHERS, ids=lambda build: build.name)
def test_every_figure_of_the_library(build: Build) -> None:
    """Layers, three columns of every buffer, splits of both graphs, copies and context."""
    recorded = {cases.label(case): differences(case, build.number) for case in cases.load(build.name)}

    assert len(recorded) >= 60
    assert {label: found for label, found in recorded.items() if found} == {}


@pytest.mark.parametrize("build", OTHERS, ids=lambda build: build.name)
def test_every_row_is_seen(build: Build) -> None:
    """Each architecture that a build changes has a recorded case that the default build gets wrong."""
    found = ((cases.model(case["model"]).arch, case) for case in cases.load(build.name))
    wrong = {arch for arch, case in found if arch in build.graphs and differences(case, DEFAULT_BUILD)}

    assert wrong == set(build.graphs)

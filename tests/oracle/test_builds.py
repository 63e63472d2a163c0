"""Every build beside the default one: figures recorded from its own library (``tests.oracle.track --record``)."""

from __future__ import annotations

import pytest

from omniplan.domain.defaults import DEFAULT_BUILD
from omniplan.errors import UnsupportedModel
from omniplan.gguf.model import architectures
from omniplan.llamacpp.build import Build, builds
from omniplan.llamacpp.graph.families import is_known
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

    assert wrong == {arch for arch in build.graphs if is_known(arch, build) and _has(build, arch)}


def _has(build: Build, arch: str) -> bool:
    came = architectures.came().get(arch)
    return came is None or came.last < build.number


def test_an_architecture_that_came_later_is_refused() -> None:
    """By the build that does not know it; the first one that does is named."""
    case = next(case for case in cases.load() if "hrm_text" in case["model"])

    with pytest.raises(UnsupportedModel, match=r"b10566 does not know the architecture hrm_text, b11040 does"):
        cases.price(case, build=10566)
    assert cases.price(case, build=11063).is_graph_known

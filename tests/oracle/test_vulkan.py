"""Vulkan: figures of the back end itself, recorded from the libraries of inferna-vulkan 0.6.1 (b11434's sources).

The device was lavapipe with the limits of a desktop card (4 GiB buffers, 64 KiB of shared memory, subgroup shuffles);
nothing was loaded.
"""

from __future__ import annotations

import os

import pytest

from omniplan.domain.defaults import DEFAULT_BUILD
from omniplan.units import GIB
from tests.oracle import cases
from tests.oracle.cases import Case, differences

ALL = cases.load("vulkan")
# Every third, all of them with ``OMNIPLAN_EXAMPLES=3`` or more.
SAMPLE = ALL[:: max(1, 3 // int(os.environ.get("OMNIPLAN_EXAMPLES", "1")))]


@pytest.mark.parametrize("case", SAMPLE, ids=cases.label)
def test_every_figure_of_the_library(case: Case) -> None:
    """Layers, three columns of every buffer, splits of both graphs and copies, to the byte."""
    assert differences(case, DEFAULT_BUILD) == []


def test_the_sample_has_what_makes_vulkan_different() -> None:
    """Buffers of several chunks, pipeline copies, and weights in RAM beside a device that asks for their work."""
    assert any(compute > GIB for case in SAMPLE for _, _, compute in case["buffers"].values())
    assert any(case["sched_copies"] > 1 for case in SAMPLE)
    assert any(case["buffers"]["Vulkan_Host"][0] > case["buffers"]["Vulkan0"][0] for case in SAMPLE)

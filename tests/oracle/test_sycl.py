"""SYCL: figures of the back end itself, recorded from the libraries of cyllama-sycl 0.6.1 (b11434's sources).

They are built without oneDNN. The device was Intel's OpenCL runtime for processors; nothing was loaded.
"""

from __future__ import annotations

import os

import pytest

from omniplan.domain.defaults import DEFAULT_BUILD
from omniplan.llamacpp.ggml import registry, sycl
from tests.oracle import cases
from tests.oracle.cases import Case, column, differences, price

ALL = cases.load("sycl")
# Every third, all of them with ``OMNIPLAN_EXAMPLES=3`` or more.
SAMPLE = ALL[:: max(1, 3 // int(os.environ.get("OMNIPLAN_EXAMPLES", "1")))]


@pytest.mark.parametrize("case", SAMPLE, ids=cases.label)
def test_every_figure_of_the_library(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers, three columns of every buffer, splits of both graphs and copies, to the byte."""
    monkeypatch.setitem(registry.BACKENDS, "sycl", sycl.PLAIN)

    assert differences(case, DEFAULT_BUILD) == []


@pytest.mark.parametrize("case", SAMPLE[::4], ids=cases.label)
def test_a_build_with_onednn_is_never_counted_for_less(case: Case) -> None:
    """What it stores behind the result of attention comes on top."""
    counted = column(dict(price(case).buffers), "compute")

    assert all(counted[name] >= size for name, size in cases.truth(case, "compute").items())

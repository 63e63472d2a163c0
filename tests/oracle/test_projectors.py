"""Projectors priced as llama.cpp's own library counts them (``tests/data/oracle/projectors.jsonl``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import omniplan
from omniplan.certify import library
from omniplan.domain.machine import Machine
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.projector.memory import held, set_aside
from omniplan.units import MIB
from tests.oracle.projectors import CASES, MACHINE, count, recorded, served

RECORDED = recorded()


@pytest.fixture(scope="module")
def machine() -> Machine:
    """The one that the library was told of."""
    return omniplan.load_machine(MACHINE)


def test_every_case_is_recorded() -> None:
    """Of at least eight types, with and without flash attention."""
    assert [(case["file"], tuple(case["args"])) for case in RECORDED] == list(CASES)


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: " ".join((case["file"], *case["args"])))
def test_the_library_counts_the_same(case: Mapping[str, Any], machine: Machine, tmp_path: Path) -> None:
    """Weights and compute buffer together, on the device and in RAM, to the byte."""
    model, params = served(case["file"], tmp_path), parse(case["args"], build=library.BUILD)

    assert dict(set_aside(model, machine, params)) == case["bytes"]


@pytest.mark.parametrize("case", RECORDED[::8], ids=lambda case: " ".join((case["file"], *case["args"])))
def test_what_is_held_is_what_is_set_aside_and_padding(
    case: Mapping[str, Any], machine: Machine, tmp_path: Path
) -> None:
    """Tensors begin at multiples of the device's alignment once they are there."""
    model, params = served(case["file"], tmp_path), parse(case["args"], build=library.BUILD)
    sizes = held(model, machine, params, n_ubatch=4096)

    assert sizes.keys() == case["bytes"].keys()
    assert all(0 <= sizes[name].total - count < MIB for name, count in case["bytes"].items())


@pytest.mark.skipif(not library.is_available(), reason="the pinned xllamacpp is not installed")
@pytest.mark.parametrize("case", RECORDED[::25], ids=lambda case: " ".join((case["file"], *case["args"])))
def test_the_library_still_counts_what_it_did(case: Mapping[str, Any]) -> None:
    """A few of them again; ``make certify`` asks all."""
    assert count((case["file"], tuple(case["args"]))) == case["bytes"]

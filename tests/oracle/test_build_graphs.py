"""Our graphs against those that libraries of later builds made, node by node (``tests.oracle.graphs --record``)."""

from __future__ import annotations

import pytest

from omniplan.gguf.model.architectures import came
from omniplan.llamacpp.build import builds
from tests.oracle import graphs, small

RECORDED = [number for number in builds() if graphs.recorded(number).exists()]


@pytest.mark.parametrize("number", RECORDED)
def test_every_node_is_the_library_s(number: int) -> None:
    """Operation, type, shape, strides, offset and sources, with flash attention and without, prompt and token."""
    found = {key: graphs.compare(key, number, lines) for key, lines in graphs.load(number).items()}

    assert {key: text for key, text in found.items() if text} == {}


def test_architectures_that_came_later_are_held_to_a_library() -> None:
    """Those with a small header, by the newest build."""
    held = {key.split()[0] for key in graphs.load(max(builds()))}

    assert {arch for arch in small.MODELS if arch in came()} <= held


def test_a_changed_node_is_found() -> None:
    """The comparison sees another shape, and where."""
    key, lines = next(iter(graphs.load(max(builds())).items()))
    changed = [*lines[:3], lines[3].replace("496", "495"), *lines[4:]]

    assert "first difference at 3" in graphs.compare(key, max(builds()), changed)

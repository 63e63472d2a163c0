"""A price that the installed library counts where omniplan has no graph: of a model that both know, so they agree."""

from __future__ import annotations

from dataclasses import replace

import pytest

import omniplan
from omniplan.certify import library
from omniplan.certify.counted import counted, knows
from omniplan.domain.footprint import Unpriced
from omniplan.llamacpp.load.unpriced import ARCHITECTURE
from tests.oracle import cases

pytestmark = pytest.mark.skipif(not library.is_available(), reason="the pinned xllamacpp is not installed")

ARGS = ("-c", "4096", "-np", "1", "-ngl", "99", "-ts", "1,1")
MACHINE = "omni-arch"


def test_the_library_s_figures_replace_ours() -> None:
    """Layers, buffers, splits and verdict are its count; the output says whose, and nothing is left open."""
    model, machine = cases.model("llama-dense"), cases.machines()[MACHINE]
    measured = omniplan.footprint(model, machine, ARGS, no_alloc=True, build=library.BUILD)
    unpriced = (Unpriced(subject=ARCHITECTURE, what="all", source="here", only_adds=False),)
    guessed = replace(measured, buffers={}, layers=(), graph_splits=None, unpriced=unpriced)

    found = counted(model, machine, ARGS, env={}, priced=guessed)

    held = {name: size for name, size in found.buffers.items() if size.total}
    assert (measured.buffers, measured.layers) == (held, found.layers)
    assert (measured.graph_splits, measured.pools) == (found.graph_splits, found.pools)
    assert (guessed.fits, found.fits) == (None, True)
    assert "counted by the library itself" in found.assumptions[-1].statement


def test_a_refusal_leaves_it_not_known() -> None:
    """And says what the library said."""
    model, machine = cases.model("llama-dense"), cases.machines()[MACHINE]
    args = (*ARGS, "-ot", "ffn_down=CUDA1", "-sm", "none")
    unpriced = (Unpriced(subject=ARCHITECTURE, what="all", source="here", only_adds=False),)
    guessed = replace(omniplan.footprint(model, machine, ARGS), unpriced=unpriced)

    found = counted(model, machine, args, env={}, priced=guessed)

    assert found.fits is None
    assert "the library refuses" in found.assumptions[-1].statement


def test_names_are_found_in_its_texts() -> None:
    """An architecture it has, and one that nobody has."""
    assert knows(library.pinned(), "k2-horizon")
    assert not knows(library.pinned(), "newcomer")

"""A draft stands beside the main context and changes nothing in it that the kind of drafting does not."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

import omniplan
from omniplan.domain.footprint import ContextKind, Footprint, sum_of
from omniplan.domain.machine import Machine
from omniplan.domain.model import Companions, Model
from omniplan.errors import ArgumentError
from tests.oracle import cases
from tests.property.strategies import examples, machines, names, placements

LAYOUTS = machines().flatmap(lambda machine: st.tuples(st.just(machine), placements(machine)))
SLOTS = st.integers(1, 6)


def priced(model: Model, layout: tuple[Machine, tuple[str, ...]], *args: str) -> Footprint | None:
    """The price, None where llama.cpp refuses the layout."""
    machine, placed = layout
    try:
        return omniplan.footprint(model, machine, [*placed, "-c", "4096", *args])
    except ArgumentError:
        return None


@examples(15)
@given(name=names(), draft=names(), layout=LAYOUTS, n_seq=SLOTS)
def test_a_draft_only_adds(name: str, draft: str, layout: tuple[Machine, tuple[str, ...]], n_seq: int) -> None:
    """The main context is that of the same command without the file, and the whole is the sum of both."""
    model, args = cases.model(name), ("-np", str(n_seq), "--spec-type", "draft-simple")
    plain = priced(model, layout, *args)
    beside = priced(replace(model, companions=Companions(draft=cases.model(draft))), layout, *args, "-md", "draft.gguf")
    if plain is None or beside is None:
        return

    assert beside.contexts[ContextKind.MAIN] == plain.contexts[ContextKind.MAIN]
    assert sum(size.model for size in beside.contexts[ContextKind.DRAFT].values()) > 0
    assert beside.buffers == sum_of(beside.contexts.values())


@examples(15)
@given(layout=LAYOUTS, n_seq=SLOTS, n_max=st.integers(0, 8))
def test_states_grow_with_what_may_be_drafted(layout: tuple[Machine, tuple[str, ...]], n_seq: int, n_max: int) -> None:
    """Every drafted token more is one state more per slot, wherever layers lie; other kinds keep one."""
    model, common = cases.model("Qwen3.6-27B-MTP-Q4_K_M"), ("-np", str(n_seq), "--spec-draft-n-max", str(n_max))
    without = priced(model, layout, *common, "--spec-type", "draft-simple")
    drafting = priced(model, layout, *common, "--spec-type", "draft-mtp")
    if without is None or drafting is None:
        return
    before, after = (
        sum(size.context for size in found.contexts[ContextKind.MAIN].values()) for found in (without, drafting)
    )

    assert after - before == n_seq * n_max * 156_893_184

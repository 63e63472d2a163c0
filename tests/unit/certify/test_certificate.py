"""Counts side by side: what agrees, what differs, what nobody told."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from omniplan.certify.values import COLUMNS, TOLERANCE, Tally, compare
from omniplan.domain.footprint import BufferSize, GraphSplits
from omniplan.units import MIB

sizes = st.integers(0, 1 << 40)
tallies = st.builds(
    Tally,
    buffers=st.dictionaries(
        st.sampled_from(["CUDA0", "CUDA1", "CUDA_Host", "CPU"]),
        st.builds(BufferSize, model=sizes, context=sizes, compute=sizes),
        min_size=1,
    ),
    layers=st.lists(st.sampled_from(["CPU", "CUDA0", "CUDA1"]), min_size=1, max_size=8).map(tuple),
    graph_splits=st.builds(GraphSplits, prefill=st.integers(1, 500), decode=st.integers(1, 500)),
    sched_copies=st.sampled_from([1, 4]),
    n_ctx=st.integers(256, 1 << 20),
)


@given(tally=tallies, resolution=st.sampled_from([1, MIB]))
def test_a_count_agrees_with_itself(tally: Tally, resolution: int) -> None:
    """Three columns a buffer and five facts."""
    checks = compare(tally, tally, resolution=resolution)

    assert len(checks) == 3 * len(tally.buffers) + 5
    assert all(check.agrees and check.planned == check.counted for check in checks)


@given(tally=tallies, data=st.data(), off=st.integers(1, 8 * MIB))
def test_one_size_that_is_off_is_found(tally: Tally, data: st.DataObject, off: int) -> None:
    """It alone differs, by what it is off, and fails from the tolerance on."""
    name, column = data.draw(st.sampled_from(sorted(tally.buffers))), data.draw(st.sampled_from(COLUMNS))
    size = tally.buffers[name]
    changed = replace(size, **{column: getattr(size, column) + off})

    checks = compare(tally, replace(tally, buffers={**tally.buffers, name: changed}))

    (moved,) = [check for check in checks if check.planned != check.counted]
    assert moved.what == f"{name} {column}"
    assert isinstance(moved.planned, int)
    assert isinstance(moved.counted, int)
    assert (moved.counted - moved.planned, moved.agrees) == (off, off < TOLERANCE)


@given(tally=tallies, data=st.data())
def test_every_other_fact_has_to_be_equal(tally: Tally, data: st.DataObject) -> None:
    """A layer elsewhere, one split or copy more, another context."""
    splits = tally.graph_splits or GraphSplits(prefill=1, decode=1)
    what, other = data.draw(
        st.sampled_from(
            [
                ("layers", replace(tally, layers=(*tally.layers, "CUDA7"))),
                ("splits, prompt batch", replace(tally, graph_splits=replace(splits, prefill=splits.prefill + 1))),
                ("splits, one token", replace(tally, graph_splits=replace(splits, decode=splits.decode + 1))),
                ("pipeline copies", replace(tally, sched_copies=2)),
                ("context", replace(tally, n_ctx=1)),
            ]
        )
    )

    assert [check.what for check in compare(tally, other) if not check.agrees] == [what]


@given(tally=tallies, other=tallies)
def test_what_one_side_does_not_tell_is_left_out(tally: Tally, other: Tally) -> None:
    """Bytes alone are compared where there is nothing else; a buffer that one side lacks is empty there."""
    told = compare(tally, Tally(buffers=other.buffers))

    assert {check.what.split()[0] for check in told} == {*tally.buffers, *other.buffers}
    assert all(check.is_bytes for check in told)

"""Compute buffers of several chunks: ggml-alloc.c where a back end's single buffers are limited."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from omniplan.llamacpp.ggml.arena import MOST_CHUNKS, Arena, ChunkedArena
from omniplan.llamacpp.ggml.buffers import ENDLESS

STEPS = st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=60)
Block = tuple[int, int]


def follow(arena: Arena | ChunkedArena, steps: list[tuple[int, bool]]) -> list[Block]:
    """Take and give as ``steps`` say; the blocks that are in use at the end."""
    live: list[Block] = []
    for units, frees in steps:
        if frees and live:
            arena.give(*live.pop(units % len(live)))
        elif units:
            live.append((arena.take(units * 128), units * 128))
    return live


@given(STEPS)
def test_without_a_limit_a_chunk_is_the_whole_buffer(steps: list[tuple[int, bool]]) -> None:
    """The same addresses, and the same bytes."""
    whole, chunked = Arena(), ChunkedArena(ENDLESS)

    assert follow(whole, steps) == follow(chunked, steps)
    assert whole.peak == chunked.peak


@given(STEPS, st.sampled_from([128, 640, 4096]))
def test_chunks_never_overlap_and_forget_nothing(steps: list[tuple[int, bool]], largest: int) -> None:
    """Live blocks never overlap; all but the last chunk stay within the limit or hold one tensor that does not."""
    arena = ChunkedArena(largest)

    live = sorted(follow(arena, steps))

    assert all(a + size <= b for (a, size), (b, _) in pairwise(live))
    assert arena.peak >= sum(size for _, size in live)
    assert all(chunk.peak <= max(largest, 20 * 128) for chunk in arena.chunks[: MOST_CHUNKS - 1])


def test_a_tensor_beyond_the_limit_has_a_chunk_to_itself() -> None:
    """Which others may use when it is gone."""
    arena = ChunkedArena(1000)
    small, large = arena.take(600), arena.take(3000)

    assert (small, arena.peak) == (0, 3600)

    arena.give(large, 3000)

    assert arena.take(500) == large
    assert arena.peak == 3600


def test_what_is_left_of_the_chunk_that_fits_best_is_taken_first() -> None:
    """Room that was in use before goes before room that has to grow."""
    arena = ChunkedArena(1000)
    first, second = arena.take(900), arena.take(700)
    arena.give(second, 700)

    assert arena.take(100) == second
    assert [chunk.peak for chunk in arena.chunks] == [900, 700]
    assert arena.take(1000) > second > first


def test_the_last_chunk_has_no_limit() -> None:
    """Sixteen are the most there are."""
    arena = ChunkedArena(100)
    for _ in range(MOST_CHUNKS + 20):
        arena.take(100)

    assert len(arena.chunks) == MOST_CHUNKS
    assert arena.peak == 100 * (MOST_CHUNKS + 20)

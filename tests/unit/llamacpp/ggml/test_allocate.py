"""The allocator's choices on small graphs, in bytes."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given as drawn
from hypothesis import strategies as st

from omniplan.llamacpp.ggml.allocate import allocate
from omniplan.llamacpp.ggml.arena import Arena
from omniplan.llamacpp.ggml.prepared import Prepared
from omniplan.llamacpp.ggml.schedule import Homes
from omniplan.llamacpp.ggml.splits import schedule
from omniplan.llamacpp.graph.node import FLAG_OUTPUT, Node
from tests.unit.llamacpp.ggml.graphs import GPU0, HOST, given, homes, tensor, view, weight

ROW = 64 * 64 * 4


def on_gpu(nodes: list[Node], n_copies: int = 1) -> list[int]:
    return list(allocate(schedule(Prepared(nodes), everything_on_gpu(n_copies))).nbytes)


def everything_on_gpu(n_copies: int) -> Homes:
    return homes(dict.fromkeys("abc", "CUDA0"), GPU0, HOST, n_copies=n_copies)


def product(name: str, x: Node) -> Node:
    return tensor("MUL_MAT", (64, 64), weight(name, 64, 64), x)


def test_input_exists_twice() -> None:
    """On the host, and as a copy on the device next to the result."""
    assert on_gpu([product("a", given("x", 64, 64))]) == [2 * ROW, ROW]


def test_pipeline_copies_multiply_inputs() -> None:
    """Four batches in flight hold four copies of every input, on both sides, for good."""
    assert on_gpu([product("a", given("x", 64, 64))], n_copies=4) == [5 * ROW, 4 * ROW]


def test_a_node_may_take_the_place_of_its_last_source() -> None:
    """RMS_NORM overwrites its source, so that nothing grows."""
    a = product("a", given("x", 64, 64))

    assert on_gpu([a, tensor("RMS_NORM", (64, 64), a)]) == [2 * ROW, ROW]


def test_a_source_with_another_user_is_not_overwritten() -> None:
    """The norm needs room of its own while its source lives: the place of the input, which is free by then."""
    a = product("a", given("x", 64, 64))
    norm = tensor("RMS_NORM", (64, 64), a)

    assert on_gpu([a, norm, tensor("CONCAT", (64, 128), norm, a)]) == [4 * ROW, ROW]


def test_a_view_keeps_what_it_views() -> None:
    """Memory is freed when the last view of it was read."""
    a = product("a", given("x", 64, 64))
    seen = view(a, "RESHAPE", (4096,))
    b = tensor("CONT", (4096,), seen)

    assert on_gpu([a, seen, b, tensor("CONT", (4096,), b)]) == [2 * ROW, ROW]


def test_outputs_are_never_freed() -> None:
    """Each output adds to the buffer; without the flag the first would be overwritten."""
    a = product("a", given("x", 64, 64))
    a.flags = FLAG_OUTPUT

    assert on_gpu([a, tensor("RMS_NORM", (64, 64), tensor("NONE", (1,)))])[0] > ROW
    assert on_gpu([a, b := tensor("RMS_NORM", (64, 64), a), tensor("CONT", (64, 64), b)]) == [3 * ROW, ROW]


def test_offloaded_weights_reuse_their_room() -> None:
    """The copy of the second weight takes the place of the first."""
    where = homes({"a": "CUDA_Host", "b": "CUDA_Host"}, GPU0, HOST)
    a = product("a", given("x", 64, 64))

    assert allocate(schedule(Prepared([a, product("b", a)]), where)).nbytes[0] == 3 * ROW


def test_best_fit_prefers_the_tightest_block_and_the_later_of_equals() -> None:
    """ggml-alloc.c:ggml_dyn_tallocr_alloc."""
    arena = Arena()
    addresses = [arena.take(size) for size in (256, 128, 512, 128, 256, 128)]
    for index, size in ((0, 256), (2, 512), (4, 256)):
        arena.give(addresses[index], size)

    assert arena.take(256) == addresses[4]
    assert arena.take(256) == addresses[0]
    assert arena.take(600) == addresses[5] + 128


@drawn(st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=60))
def test_arena_never_overlaps_and_forgets_nothing(steps: list[tuple[int, bool]]) -> None:
    """Live blocks never overlap; freeing all of them leaves the arena empty."""
    arena = Arena()
    live: list[tuple[int, int]] = []
    for units, frees in steps:
        if frees and live:
            arena.give(*live.pop(units % len(live)))
        elif units:
            live.append((arena.take(units * 128), units * 128))
        ordered = sorted(live)
        assert all(a + size <= b for (a, size), (b, _) in pairwise(ordered))
        assert arena.peak >= max((a + size for a, size in ordered), default=0)
    for block in live:
        arena.give(*block)

    assert (arena.blocks, arena.sizes) == (Arena().blocks, Arena().sizes)


def test_an_empty_block_keeps_its_neighbours_apart() -> None:
    """ggml-alloc.c:ggml_dyn_tallocr_free_bytes joins with the next block of the list, though it be an empty one."""
    arena = Arena()
    left, right = arena.take(128), arena.take(128)
    middle, end, _ = arena.take(256), arena.take(256), arena.take(128)
    arena.give(right, 128)
    empty = arena.take(0)
    arena.give(left, 128)
    whole = arena.take(256)
    arena.give(empty, 0)
    arena.give(whole, 256)
    arena.give(end, 256)
    arena.give(middle, 256)

    assert list(zip(arena.blocks, arena.sizes, strict=True))[:-1] == [(0, 512), (128, 0), (512, 256)]

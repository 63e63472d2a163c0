"""Handing layers to devices, where a layer's bytes are made up: what fits to the byte, and what is left elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniplan.llamacpp.fit.fit_layers import DeviceShare, Layout, Overflow, Shares, WrappedAround
from tests.property.strategies import examples

NAMES = ("CUDA0", "CUDA1", "CUDA2")
# Of every layer: attention and norms, and what its experts take.
BASE, EXPERTS = 10, {"up": 8, "gate": 6, "down": 6}


class Bytes(list[int]):
    """Bytes on each device."""

    def exceeds(self, index: int, size: int) -> bool:
        return self[index] > size


def measure_of(names: Sequence[str], *, is_moe: bool) -> Callable[[Layout], Bytes]:
    """Bytes per device by the overrides that a layout would write, matched against the names of a model."""

    def measure(layout: Layout) -> Bytes:
        used = dict.fromkeys((*names, "CPU"), 0)
        patterns = [(re.compile(item.pattern), item.buffer_type) for item in layout.overrides]
        il = layout.n_layer + 1 - layout.n_gpu_layers
        for name, share in zip(names, layout.shares, strict=True):
            for layer in range(il, il + share.n_layer):
                used[name] += BASE
                for kind, size in EXPERTS.items() if layer < layout.n_layer else ():
                    tensor = f"blk.{layer}.ffn_{kind}_exps" if is_moe else f"blk.{layer}.ffn_{kind}"
                    used[next((to for pattern, to in patterns if pattern.search(tensor)), name)] += size
            il += share.n_layer
        return Bytes(used[name] for name in names)

    return measure


def shares(targets: Sequence[int], *, n_layer: int = 4, is_moe: bool = False) -> Shares:
    return Shares(names=NAMES[: len(targets)], n_layer=n_layer, is_moe=is_moe, targets=targets)


@examples(100)
@given(n_layer=st.integers(1, 12), targets=st.lists(st.integers(0, 400), min_size=1, max_size=3))
def test_dense_layers_fill_devices_from_the_last_one_on(n_layer: int, targets: list[int]) -> None:
    """As many as fit; the output is one of them, smaller, and on the last device."""
    layout = shares(targets, n_layer=n_layer).fill_back_to_front(measure_of(NAMES[: len(targets)], is_moe=False))
    left, expected = n_layer + 1, []
    for d, target in reversed(list(enumerate(targets))):
        has_output = left == n_layer + 1
        room = (target + (sum(EXPERTS.values()) if has_output else 0)) // (BASE + sum(EXPERTS.values()))
        expected.append(min(left, room if target >= BASE else 0) if has_output or d < len(targets) else 0)
        left -= expected[-1]

    assert list(layout.tensor_split or (layout.n_gpu_layers,)) == expected[::-1]
    assert layout.overrides == ()


@examples(100)
@given(n_layer=st.integers(1, 10), target=st.integers(0, 400))
def test_one_device_has_as_many_full_layers_as_fit_and_part_of_one_more(n_layer: int, target: int) -> None:
    """By trying every number of layers, then of full ones among them, then each way to keep part of one."""
    names, every = NAMES[:1], shares([target], n_layer=n_layer, is_moe=True)
    measure = measure_of(names, is_moe=True)

    def layout(n: int, part: int, overflow: Overflow = Overflow.MOE) -> Layout:
        return Layout((DeviceShare(n_layer=n, n_part=part, overflow=overflow),), n_layer)

    def fits(tried: Layout) -> bool:
        return measure(tried)[0] <= target

    back = every.fill_back_to_front(measure)
    n, parts = back.n_gpu_layers, back.shares[0].n_part
    more = layout(n + 1, parts + (n > 0))
    part = min((part for part in range(parts + 1) if fits(layout(n, part))), default=0)
    ways = [way for way in (Overflow.ATTN, Overflow.UP, Overflow.GATE) if measure(layout(n, part, way))[0] < target]
    best = layout(n, part, ways[-1]) if part and ways else layout(n, part)

    front = every.fill_front_to_back(back, measure)

    # llama.cpp counts the output layer twice where its first step is one layer.
    assert parts in (max(0, n - 1), max(0, n - 2))
    assert n == 0 or fits(back)
    assert n > n_layer or not fits(more)
    assert (front.n_gpu_layers, front.overrides) == (best.n_gpu_layers, best.overrides)


@examples(60)
@given(n_layer=st.integers(1, 12), targets=st.lists(st.integers(60, 300), min_size=2, max_size=3))
def test_experts_of_several_devices_keep_every_target(n_layer: int, targets: list[int]) -> None:
    """No device holds more than it may before or after experts come in, and none loses bytes by it."""
    names, every = NAMES[: len(targets)], shares(targets, n_layer=n_layer, is_moe=True)
    measure = measure_of(names, is_moe=True)
    back = front = every.fill_back_to_front(measure)
    try:
        front = every.fill_front_to_back(back, measure)
    except WrappedAround:
        assert len(targets) > 2

    for layout in (back, front):
        assert all(used <= target for used, target in zip(measure(layout), targets, strict=True))
    assert front.n_gpu_layers == back.n_gpu_layers
    assert sum(measure(front)) >= sum(measure(back))


@pytest.mark.parametrize(
    ("target", "split", "partial"),
    [
        (10, (0, 5), None),
        (18, (1, 4), (0, Overflow.ATTN)),
        (19, (1, 4), (0, Overflow.UP)),
        (60, (2, 3), None),
        (70, (2, 3), None),
        (71, (3, 2), (2, Overflow.ATTN)),
        (79, (3, 2), (2, Overflow.UP)),
        (85, (3, 2), (2, Overflow.GATE)),
    ],
)
def test_the_first_device_takes_layers_from_the_last(
    target: int, split: tuple[int, int], partial: tuple[int, Overflow] | None
) -> None:
    """Whole ones to the byte, then part of one more with a byte to spare; its rest spills to the next device."""
    every, measure = shares((target, 200), is_moe=True), measure_of(NAMES[:2], is_moe=True)
    layout = every.fill_front_to_back(every.fill_back_to_front(measure), measure)
    expected = [] if partial is None else [(rf"blk\.{partial[0]}\.{partial[1].value}", "CUDA1")]

    assert layout.tensor_split == split
    assert [(item.pattern, item.buffer_type) for item in layout.overrides] == expected


def test_a_layout_says_itself_in_llama_cpp_s_words() -> None:
    """Layers in RAM come first; the first partial layer of a device has its own pattern, the others experts alone."""
    first = DeviceShare(n_layer=2, n_part=1, overflow=Overflow.GATE, spill="CUDA1")
    layout = Layout((first, DeviceShare(n_layer=3, n_part=2, overflow=Overflow.ATTN)), 6)

    assert (layout.n_gpu_layers, layout.tensor_split) == (5, (2, 3))
    assert [(item.pattern, item.buffer_type) for item in layout.overrides] == [
        (r"blk\.3\.ffn_down.*", "CUDA1"),
        (r"blk\.5\.ffn_(gate|up|gate_up|down).*", "CPU"),
        (r"blk\.6\.ffn_(up|down|gate_up|gate)_(ch|)exps", "CPU"),
    ]
    assert replace(layout, shares=layout.shares[:1]).tensor_split == ()


def test_a_first_step_of_one_layer_counts_the_output_twice() -> None:
    """MiB of a small DeepSeek beside its nextn layer, as llama.cpp measured them: one layer keeps its experts."""
    used = {(0, 0): 32, (4, 3): 65, (1, 0): 32, (2, 0): 34, (3, 0): 68}

    def measure(layout: Layout) -> Bytes:
        return Bytes([used[layout.shares[0].n_layer, layout.shares[0].n_part]])

    layout = shares([39], n_layer=3, is_moe=True).fill_back_to_front(measure)

    assert (layout.n_gpu_layers, layout.overrides) == (2, ())


def test_part_of_the_last_layer_without_experts_ends_the_search() -> None:
    """Tenths of MiB of a small MiMo on two GPUs, as llama.cpp measured them: its second GPU is not asked for more."""
    used = {
        (0, 0): (70, 87), (0, 4): (0, 260), (0, 2): (70, 138), (0, 3): (70, 191), (3, 1): (287, 89),
    }  # fmt: skip
    parts = {0: (167, 138), 1: (145, 138), 2: (127, 138)}
    overflows = {Overflow.UP: (145, 161), Overflow.GATE: (156, 149)}

    def measure(layout: Layout) -> Bytes:
        first, last = layout.shares
        if (first.n_layer, last.n_layer) != (2, 2):
            return Bytes(used[first.n_layer, last.n_layer])
        return Bytes(overflows[first.overflow] if first.overflow in overflows else parts[first.n_part])

    every = shares([150, 190], n_layer=3, is_moe=True)
    layout = every.fill_front_to_back(every.fill_back_to_front(measure), measure)

    assert layout.tensor_split == (2, 2)
    assert [(item.pattern, item.buffer_type) for item in layout.overrides] == [
        (r"blk\.1\.ffn_(gate|gate_up|down).*", "CUDA1"),
        (r"blk\.3\.ffn_(up|down|gate_up|gate)_(ch|)exps", "CPU"),
    ]


def test_layers_before_a_gpu_without_any_stay_as_they_are() -> None:
    """llama.cpp looks for layers without experts from the last GPU back to the first that has none."""
    measure = measure_of(NAMES, is_moe=True)
    back = Layout((DeviceShare(n_layer=2, n_part=2), DeviceShare(), DeviceShare(n_layer=3, n_part=2)), 4)
    front = shares([40, 5, 300], is_moe=True).fill_front_to_back(back, measure)

    assert front.shares[0] == back.shares[0]
    assert front.shares[2].n_part == 0


def test_a_first_gpu_that_takes_every_layer_leaves_nothing_to_count() -> None:
    """It then wants the output layer too, and with two more GPUs llama.cpp counts below zero."""
    measure = measure_of(NAMES, is_moe=True)
    back = Layout(
        (DeviceShare(n_layer=2, n_part=2), DeviceShare(n_layer=1, n_part=1), DeviceShare(n_layer=2, n_part=1)), 4
    )

    with pytest.raises(WrappedAround):
        shares([400, 100, 100], is_moe=True).fill_front_to_back(back, measure)

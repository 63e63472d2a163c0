"""What holds for the predicted speed of any placement on any machine."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import omniplan
from omniplan.domain.evidence import Basis
from omniplan.domain.machine import Machine, Memory
from tests.oracle import cases
from tests.property.strategies import examples, machines, names, placements

LAYOUTS = machines().flatmap(lambda machine: st.tuples(st.just(machine), placements(machine)))
CLOSE = 1 + 1e-9


def predict(
    name: str, machine: Machine, layout: tuple[str, ...], *, n_prompt: int = 2048, n_gen: int = 256, depth: int = 0
) -> omniplan.Prediction:
    """A prediction with 32,768 tokens of context."""
    args = ["-c", "32768", "-np", "1", *layout]
    return omniplan.predict(cases.model(name), machine, args, n_prompt=n_prompt, n_gen=n_gen, depth=depth)


@examples(20)
@given(name=names(), layout=LAYOUTS)
def test_terms_are_whole_and_ranges_ordered(name: str, layout: tuple[Machine, tuple[str, ...]]) -> None:
    """Terms are positive and sum to the time; low <= value <= high for every estimate."""
    machine, args = layout
    found = predict(name, machine, args)

    assert all(seconds > 0 for seconds in (*found.terms.values(), *found.prompt_terms.values()))
    assert 1 / found.decode_tokens_per_second.value == pytest.approx(sum(found.terms.values()))
    assert found.n_prompt / found.prompt_tokens_per_second.value == pytest.approx(sum(found.prompt_terms.values()))
    for estimate in (found.decode_tokens_per_second, found.prompt_tokens_per_second, found.request_seconds):
        assert 0 < estimate.low <= estimate.value <= estimate.high


@examples(20)
@given(name=names(), layout=LAYOUTS, factor=st.sampled_from([1.01, 1.5, 4.0]))
def test_more_bandwidth_is_never_slower(name: str, layout: tuple[Machine, tuple[str, ...]], factor: float) -> None:
    """Of the GPUs, of RAM, or of both."""
    machine, args = layout
    gpus = tuple(replace(gpu, bandwidth=(gpu.bandwidth or 5e11) * factor) for gpu in machine.gpus)
    start = replace(machine, gpus=tuple(replace(gpu, bandwidth=gpu.bandwidth or 5e11) for gpu in machine.gpus))
    slow = replace(machine.memory or Memory(total=1 << 38), bandwidth=50e9, bandwidth_basis=Basis.MEASURED)
    fast = replace(slow, bandwidth=50e9 * factor)
    before = predict(name, replace(start, memory=slow), args)

    for after in (
        replace(start, gpus=gpus, memory=slow),
        replace(start, memory=fast),
        replace(start, gpus=gpus, memory=fast),
    ):
        found = predict(name, after, args)
        assert found.request_seconds.value <= before.request_seconds.value * CLOSE
        assert before.decode_tokens_per_second.value <= found.decode_tokens_per_second.value * CLOSE


@examples(20)
@given(name=names(), layout=LAYOUTS, depths=st.lists(st.integers(0, 30_000), min_size=2, max_size=2))
def test_deeper_context_is_never_faster(name: str, layout: tuple[Machine, tuple[str, ...]], depths: list[int]) -> None:
    """Neither the prompt nor the answer."""
    machine, args = layout
    near, far = (predict(name, machine, args, n_prompt=512, n_gen=64, depth=depth) for depth in sorted(depths))

    assert far.decode_tokens_per_second.value <= near.decode_tokens_per_second.value * CLOSE
    assert far.prompt_tokens_per_second.value <= near.prompt_tokens_per_second.value * CLOSE


@examples(20)
@given(name=names(), layout=LAYOUTS, sizes=st.lists(st.integers(1, 4096), min_size=2, max_size=2))
def test_longer_requests_take_longer(name: str, layout: tuple[Machine, tuple[str, ...]], sizes: list[int]) -> None:
    """More tokens of answer never make a request shorter."""
    machine, args = layout
    few, many = (predict(name, machine, args, n_prompt=256, n_gen=size) for size in sorted(sizes))

    assert few.request_seconds.value <= many.request_seconds.value * CLOSE


@examples(20)
@given(name=names(), shares=st.lists(st.integers(1, 40), min_size=2, max_size=2))
def test_more_layers_on_the_faster_gpu_are_never_slower(name: str, shares: list[int]) -> None:
    """Two GPUs that differ in bandwidth alone: decoding follows the fast one's layers."""
    gpus = [
        {"name": f"CUDA{index}", "total_mib": 98304, "bandwidth_gbs": rate, "fp16_tflops": 100, "link_gbs": 25}
        for index, rate in enumerate((1000, 400))
    ]
    machine = omniplan.Machine.from_dict({"name": "pair", "gpus": gpus, "memory": {"total_mib": 98304}})
    few, many = (
        predict(name, machine, ("-ngl", "99", "-ts", f"{share},{41 - share}"), n_prompt=0) for share in sorted(shares)
    )

    assert few.decode_tokens_per_second.value <= many.decode_tokens_per_second.value * CLOSE

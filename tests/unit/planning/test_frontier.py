"""The grid: every combination is there, says its plan's numbers or why it has none, and the front is what it claims."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest

import omniplan
from omniplan.domain.machine import Gpu, Machine, Memory
from omniplan.planning.frontier import default_contexts
from omniplan.planning.frontier_values import Outcome, Point
from omniplan.units import GIB, MIB
from tests.oracle import cases

MODEL = "Qwen3-0.6B-Q8_0"


def machine(free_mib: int, *, ram: int = 64) -> Machine:
    """One GPU with so many MiB free, and RAM in GiB."""
    gpu = Gpu(name="CUDA0", description="", total=free_mib * MIB, free=free_mib * MIB, compute_capability="8.9")
    return Machine(name="small", gpus=(gpu,), memory=Memory(total=ram * GIB))


def frontier(machine: Machine, **given: Any) -> omniplan.Frontier:
    asked: dict[str, Any] = {"contexts": (4096, 32768), "ubatches": (512,)}
    return omniplan.frontier(cases.model(MODEL), machine, **(asked | given))


@pytest.mark.parametrize(
    ("n_ctx_train", "expected"),
    [
        (512, (512,)),
        (4096, (4096,)),
        (40960, (4096, 8192, 16384, 32768, 40960)),
        (0, (4096, 8192, 16384, 32768)),
        (1 << 20, (4096, 8192, 16384, 65536, 131072, 262144, 524288, 1 << 20)),
    ],
)
def test_default_contexts_end_with_the_training_context(n_ctx_train: int, expected: tuple[int, ...]) -> None:
    """At most eight, the first and the last always among them."""
    found = default_contexts(n_ctx_train)

    assert len(found) <= 8
    assert found[0] == expected[0]
    assert found[-1] == expected[-1]
    assert set(found) <= {4096 << shift for shift in range(20)} | {n_ctx_train}
    if len(expected) < 8:
        assert found == expected


def test_every_combination_is_there_once() -> None:
    """By context, however the lists were ordered or repeated."""
    found = frontier(machine(8000), contexts=(32768, 4096, 4096), ubatches=(1024, 512), parallels=(2, 1, 1))

    settings = [(p.n_ctx, p.cache_type, p.n_ubatch, p.n_parallel) for p in found.points]
    assert len(settings) == 16
    assert set(settings) == set(product((4096, 32768), ("f16", "q8_0"), (512, 1024), (1, 2)))
    assert [point.n_ctx for point in found.points] == [4096] * 8 + [32768] * 8


def test_a_point_is_the_plan_of_its_settings() -> None:
    """The same arguments and bytes as ``omniplan.plan``, and the speed of those at the end of the context."""
    small = machine(8000)
    point = next(p for p in frontier(small).points if (p.n_ctx, p.cache_type) == (32768, "q8_0"))
    plan = omniplan.plan(cases.model(MODEL), small, n_ctx=32768, cache_type_k="q8_0", cache_type_v="q8_0")
    full = omniplan.predict(cases.model(MODEL), small, plan.server_args, depth=32768 - 2048 - 256)

    assert point.outcome == Outcome(
        strategy=plan.strategy,
        server_args=plan.server_args,
        environment=plan.environment,
        decode_tokens_per_second=full.decode_tokens_per_second,
        prompt_tokens_per_second=full.prompt_tokens_per_second,
        request_seconds=full.request_seconds,
        used={pool.name: pool.used for pool in plan.footprint.pools},
        spare={margin.pool: margin.left for margin in plan.margins},
        build=plan.footprint.build,
    )
    assert point.depth == full.depth
    assert point.outcome.vram == point.outcome.used["CUDA0"]


def merit(point: Point) -> tuple[float, ...]:
    assert point.outcome is not None
    return point.n_ctx, point.n_parallel, -point.outcome.request_seconds.value, -sum(point.outcome.used.values())


def test_nothing_beats_the_front_and_something_beats_the_rest() -> None:
    """By definition, over points where both happen."""
    found = frontier(machine(3000), contexts=(8192, 32768), parallels=(1, 2))
    merits = [merit(point) for point in found.points]
    beaten = [any(a != b and all(x >= y for x, y in zip(a, b, strict=True)) for a in merits) for b in merits]

    assert [point.is_efficient for point in found.points] == [not lost for lost in beaten]
    assert set(beaten) == {True, False}
    assert found.front == tuple(point for point in found.points if point.is_efficient)


def test_what_does_not_fit_says_by_how_much_and_is_not_tried_again() -> None:
    """The first refusal of a line has its shortfall; larger contexts name it."""
    found = frontier(machine(1000, ram=4), contexts=(4096, 1 << 22, 1 << 23), cache_types=("f16",))

    fits, refused, beyond = found.points
    assert fits.outcome is not None
    assert refused.why_not.startswith("short by ")
    assert beyond.why_not == "not tried, since 4,194,304 tokens do not fit"
    assert found.fits


def test_a_slot_must_hold_the_request() -> None:
    """A context that is fast because the request does not fit into it is no choice."""
    found = frontier(machine(8000), contexts=(4096,), cache_types=("f16",), parallels=(1, 4))

    assert [point.why_not for point in found.points] == ["", "a slot of 1,024 tokens cannot hold the request of 2,304"]


def test_what_llama_cpp_refuses_is_a_reason() -> None:
    """Settings that parse but that no model of the kind can have do not stop the others."""
    found = frontier(machine(8000), contexts=(8192,), cache_types=("f16",), parallels=(1, 1000))

    assert [point.outcome is None for point in found.points] == [False, True]
    assert "256" in found.points[1].why_not


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"contexts": ()}, "contexts: expected at least one value"),
        ({"ubatches": ()}, "ubatches: expected at least one value"),
        ({"cache_types": ("f16", "f8")}, "f8"),
        ({"contexts": (4096, 0)}, "n_ctx 0"),
        ({"n_gen": -1}, "n_gen -1: expected 0 or more"),
    ],
)
def test_a_value_nobody_can_use_is_an_error(given: dict[str, Any], says: str) -> None:
    """Not a row of the table."""
    with pytest.raises(omniplan.OmniplanError, match=says):
        frontier(machine(8000), **given)


def test_the_same_question_has_the_same_answer() -> None:
    """As JSON, byte for byte."""
    texts = {frontier(machine(8000)).to_json() for _ in range(2)}

    assert len(texts) == 1
    assert len(json.loads(texts.pop())["points"]) == 4


def test_a_row_is_the_plan_of_its_numbers() -> None:
    """Also where a baseline is faster than what the search finds: then both take its layout."""
    model, machine = cases.model("GLM-4.7-Flash-Q8_0"), omniplan.load_machine("dual-4090-5070ti")
    grid = omniplan.frontier(model, machine, contexts=[65536], cache_types=["f16"], ubatches=[2048], parallels=[2])
    plan = omniplan.plan(model, machine, n_ctx=65536, n_ubatch=2048, n_parallel=2)
    (point,) = grid.points

    assert point.outcome is not None
    assert plan.server_args == point.outcome.server_args
    assert any("the layout of the baseline" in reason.statement for reason in plan.reasons)

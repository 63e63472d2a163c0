"""What the policy keeps, in figures: for one process, for several on one GPU, and in words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniplan.domain.build import PricedBuild
from omniplan.domain.footprint import RAM, BufferSize, ContextKind, Footprint, Pool
from omniplan.domain.headroom import Headroom, Margin, shortfall
from omniplan.domain.machine import Gpu, Machine, Memory, Reservation, ReservationKind
from omniplan.errors import InputError
from omniplan.units import GIB, MIB

GPU = Gpu(name="CUDA0", description="24 GB", total=24 * GIB, free=24 * GIB)
POLICY = Headroom()
# 2 % of 24 GiB.
GROWTH = int(24 * GIB * 0.02)
CONTEXT = (Reservation(size=400 * MIB, reason="what runs already", kind=ReservationKind.CUDA_CONTEXT),)


def priced(compute: int, *, host: int = 0, is_assumed: bool = False) -> Footprint:
    """A process with 4 GiB of weights and ``compute`` bytes on one GPU, and ``host`` bytes in RAM."""
    size = BufferSize(model=4 * GIB, compute=compute)
    buffers = {"CUDA0": size, "CPU": BufferSize(model=host)}
    return Footprint(
        build=PricedBuild.known("b11434"),
        layers=(),
        contexts={ContextKind.MAIN: buffers},
        buffers=buffers,
        graph_splits=None,
        pools=(
            Pool(name="CUDA0", free=24 * GIB, used=size.total, members=("CUDA0",)),
            Pool(name=RAM, free=64 * GIB, used=host, members=("CPU",)),
        ),
        n_ctx=4096,
        n_ctx_seq=4096,
        n_seq_max=1,
        n_ubatch=512,
        flash_attn=True,
        output_buffer=MIB,
        is_graph_known=not is_assumed,
    )


@pytest.mark.parametrize(
    ("changes", "context", "growth"),
    [
        ({}, 500 * MIB, GROWTH),
        ({"total": 8 * GIB, "free": 8 * GIB}, 500 * MIB, 256 * MIB),
        ({"is_display": True}, 500 * MIB, GIB),
        ({"total": 96 * GIB, "is_display": True}, 500 * MIB, int(96 * GIB * 0.02)),
        ({"reserved": CONTEXT}, 100 * MIB, GROWTH),
        ({"beside": 12 * GIB}, 12 * GIB, GROWTH),
        ({"beside": 12 * GIB, "free": 13 * GIB}, GIB, GROWTH),
        ({"beside": 700 * MIB, "free": 23 * GIB, "reserved": CONTEXT}, 0, GROWTH),
    ],
    ids=["plain", "small", "display", "large display", "reserved", "beside", "beside, in use", "beside, all in use"],
)
def test_what_one_process_keeps(changes: dict[str, object], context: int, growth: int) -> None:
    """A context less what is in use already, and room to grow: more for a screen, and what runs showed."""
    gpu = replace(GPU, **changes)  # type: ignore[arg-type]

    assert (POLICY.context_of(gpu), POLICY.growth_of(gpu)) == (context, growth)
    assert POLICY.kept_on(gpu) == context + growth
    assert POLICY.budget_of(gpu) == gpu.free - context - growth


def test_nothing_is_left_of_a_gpu_that_holds_less_than_is_kept() -> None:
    """A budget is never negative."""
    assert POLICY.budget_of(replace(GPU, free=100 * MIB)) == 0


@pytest.mark.parametrize(
    ("factor", "is_assumed", "beyond"),
    [
        (None, False, 0),
        (1.5, False, GIB // 2),
        (None, True, GIB // 4),
        (1.5, True, 3 * GIB // 4),
        (0.75, False, -GIB // 4),
        (0.25, False, -GROWTH),
    ],
)
def test_what_a_compute_buffer_may_take_beyond_its_price(factor: float | None, is_assumed: bool, beyond: int) -> None:
    """By runs of the build, and a quarter for an assumed graph; runs that take less free no more than growth."""
    gpu = replace(GPU, compute_factor=factor)

    assert POLICY.beyond(gpu, priced(GIB, is_assumed=is_assumed)) == beyond


def test_margins_of_one_process() -> None:
    """The GPU keeps context and growth, RAM the prompt cache and 2 GiB; the output buffer lies in RAM."""
    machine = Machine(name="m", gpus=(GPU,), memory=Memory(total=64 * GIB))
    gpu, ram = POLICY.margins(machine, priced(GIB, host=10 * GIB), 8 * GIB)

    assert gpu == Margin(pool="CUDA0", capacity=24 * GIB, used=5 * GIB, context=500 * MIB, growth=GROWTH)
    assert ram == Margin(pool=RAM, capacity=64 * GIB, used=10 * GIB + MIB, context=8 * GIB, growth=2 * GIB)
    assert shortfall((gpu, ram)) == {}


def test_a_pool_that_is_short_says_by_how_much() -> None:
    """Only GPUs in use have a margin, and RAM of unknown size has none."""
    other = replace(GPU, name="CUDA1")
    machine = Machine(name="m", gpus=(replace(GPU, free=5 * GIB), other))
    margins = POLICY.margins(machine, priced(GIB), 0)

    assert [margin.pool for margin in margins] == ["CUDA0"]
    assert shortfall(margins) == {"CUDA0": 500 * MIB + GROWTH}


GPUS = st.builds(
    Gpu,
    name=st.just("CUDA0"),
    description=st.just("drawn"),
    total=st.integers(16 * GIB, 96 * GIB),
    free=st.integers(2 * GIB, 16 * GIB),
    is_display=st.booleans(),
    beside=st.none() | st.integers(0, 16 * GIB),
    compute_factor=st.none() | st.floats(0.1, 4.0),
    reserved=st.sampled_from([(), CONTEXT]),
)


@given(gpu=GPUS, compute=st.integers(0, 4 * GIB), is_assumed=st.booleans())
def test_one_process_on_a_shared_gpu_keeps_what_it_keeps_alone(gpu: Gpu, compute: int, is_assumed: bool) -> None:
    """The sum over processes with one process is that process's own margin, whatever is known of the GPU."""
    price = priced(compute, is_assumed=is_assumed)
    (alone,) = POLICY.margins(Machine(name="m", gpus=(gpu,)), price, 0)
    need = price.buffers["CUDA0"].total + POLICY.each + POLICY.beyond(gpu, price)

    assert POLICY.shared(gpu) - need == alone.left


@given(gpu=GPUS, compute=st.integers(0, 4 * GIB), room=st.integers(0, 32 * GIB))
def test_a_plan_in_some_room_needs_no_more_than_it(gpu: Gpu, compute: int, room: int) -> None:
    """What keeps its margin on the GPU as it is shown for ``room`` bytes takes at most these of the shared GPU."""
    price = priced(compute)
    seen = POLICY.seen_alone(gpu, room)
    (alone,) = POLICY.margins(Machine(name="m", gpus=(seen,)), price, 0)
    need = price.buffers["CUDA0"].total + POLICY.each + POLICY.beyond(gpu, price)

    assert alone.left == room - need if room > POLICY.each else alone.left < 0


@pytest.mark.parametrize("n", [1, 2, 5])
def test_every_further_process_keeps_a_context_and_its_pools(n: int) -> None:
    """What is in use beside models counts once; each process has a context of its own and 256 MiB for its pools."""
    gpu = replace(GPU, beside=12 * GIB)
    left = POLICY.shared(gpu) - n * POLICY.each

    assert left == 24 * GIB - 12 * GIB - GROWTH - (n - 1) * (500 + 256) * MIB


@pytest.mark.parametrize(
    ("text", "gpu", "growth"),
    [("1024", GPU, GIB), ("10%", GPU, int(24 * GIB * 0.1)), ("0", replace(GPU, is_display=True), 0)],
)
def test_a_policy_in_words(text: str, gpu: Gpu, growth: int) -> None:
    """MiB or a share instead of the default's growth; the context is kept in any case."""
    policy = Headroom.parse(text)

    assert (policy.growth_of(gpu), policy.context_of(gpu)) == (growth, 500 * MIB)
    assert policy.text == text


@pytest.mark.parametrize("text", ["lots", "-1", "100%", "nan", "growth=1", "ram=-1", "growth_fraction=1"])
def test_words_that_are_no_policy(text: str) -> None:
    """Refused in one line that says what is expected."""
    with pytest.raises(InputError, match="expected"):
        Headroom.parse(text)


def test_what_is_free_is_a_share_of_the_pool() -> None:
    """Nothing of a pool without bytes."""
    margin = Margin(pool="CUDA0", capacity=100, used=25, context=10, growth=20)

    assert (margin.free_fraction, margin.left) == (0.75, 45)
    assert replace(margin, capacity=0).free_fraction == 0.0


def test_ram_keeps_what_a_gpu_that_draws_on_it_keeps() -> None:
    """Buffers, context and growth of such a GPU are taken from RAM once more, and from its own limit."""
    shared = replace(GPU, is_unified=True, working_set=20 * GIB, limit_source="test")
    machine = Machine(name="m", gpus=(shared,), memory=Memory(total=24 * GIB))
    price = priced(GIB, host=10 * GIB)
    on_ram = replace(price.pools[1], used=15 * GIB)
    gpu, ram = POLICY.margins(machine, replace(price, pools=(price.pools[0], on_ram)), 0)

    assert gpu == Margin(pool="CUDA0", capacity=20 * GIB, used=5 * GIB, context=500 * MIB, growth=GROWTH)
    assert ram == Margin(pool=RAM, capacity=24 * GIB, used=15 * GIB + MIB, context=500 * MIB, growth=2 * GIB + GROWTH)
    assert POLICY.budget_of(shared) == 20 * GIB - 500 * MIB - GROWTH

"""Machines, models, placements and workloads, drawn whole.

Every property of placements runs over the same examples, so a plan is searched for once. ``OMNIPLAN_EXAMPLES=10`` draws
ten times as many.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeVar

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st

from omniplan.domain.headroom import Headroom
from omniplan.domain.machine import Gpu, Machine, Memory
from omniplan.domain.params import Override, ServerParams
from omniplan.domain.request import Request
from omniplan.llamacpp.flags.refusals import devices_in_use
from omniplan.units import GIB, MIB
from tests.fuzz import IS_FUZZING

Test = TypeVar("Test", bound=Callable[..., None])

# Dense, GQA; MLA with one dense layer in front; plain experts; sliding windows, sinks and MXFP4.
NAMES: Final = (
    "Qwen3-0.6B-Q8_0",
    "Llama-3.1-8B-Q4_K_M",
    "GLM-4.7-Flash-Q8_0",
    "Qwen3-30B-A3B-Q4_K_M",
    "gpt-oss-20b-MXFP4_MOE",
)
_SCALE: Final = int(os.environ.get("OMNIPLAN_EXAMPLES", "1"))


def examples(count: int) -> Callable[[Test], Test]:
    """``count`` examples, the same in every run and in every test that draws the same things.

    They are not shrunk: pricing is too slow for thousands of attempts. ``make fuzz`` draws anew, and shrinks.
    """
    suppressed = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    if IS_FUZZING:
        return settings(max_examples=count * _SCALE, suppress_health_check=suppressed)
    steady = settings(max_examples=count * _SCALE, phases=[Phase.generate], suppress_health_check=suppressed)

    def decorate(test: Test) -> Test:
        return seed(11434)(steady(test))

    return decorate


def names() -> st.SearchStrategy[str]:
    """The name of one of five headers, for ``cases.model``: a model is too long to print."""
    return st.sampled_from(NAMES)


@st.composite
def machines(draw: st.DrawFn, *, most: int = 4) -> Machine:
    """One to ``most`` GPUs of any size and speed, with or without a screen, with RAM of any size or unknown."""
    gpus = tuple(draw(_gpu(index)) for index in range(draw(st.integers(1, most))))
    ram = draw(st.none() | st.integers(8, 256))
    return Machine(name="drawn", gpus=gpus, memory=None if ram is None else Memory(total=ram * GIB))


@st.composite
def _gpu(draw: st.DrawFn, index: int) -> Gpu:
    free = draw(st.integers(1024, 49152)) * MIB
    return Gpu(
        name=f"CUDA{index}",
        description="drawn",
        total=free + draw(st.sampled_from([0, 400, 1500])) * MIB,
        free=free,
        compute_capability=draw(st.sampled_from(["7.5", "8.6", "8.9", "12.0"])),
        bandwidth=draw(st.sampled_from([None, 448e9, 1008e9])),
        is_display=draw(st.booleans()),
    )


@st.composite
def shared_machines(draw: st.DrawFn, *, least_gib: int = 4) -> Machine:
    """One or two GPUs whose memory is the RAM, under any limit or none, and perhaps one with memory of its own."""
    ram = draw(st.integers(least_gib, 64)) * GIB
    gpus = [draw(_shared(index, ram)) for index in range(draw(st.integers(1, 2)))]
    own = draw(st.lists(_gpu(len(gpus)), max_size=1))
    return Machine(name="shared", gpus=(*gpus, *own), memory=Memory(total=ram, bandwidth=256e9))


@st.composite
def _shared(draw: st.DrawFn, index: int, ram: int) -> Gpu:
    limit = st.none() | st.integers(1, 2 * ram)
    gtt, working_set = draw(limit), draw(limit)
    return Gpu(
        name=f"CUDA{index}",
        description="shared",
        total=ram,
        free=draw(st.just(ram) | st.integers(ram // 2, ram)),
        compute_capability="12.1",
        bandwidth=256e9,
        is_unified=True,
        gtt=gtt,
        working_set=working_set,
        carve_out=draw(st.none() | st.integers(0, ram)) if gtt is not None else None,
        limit_source="drawn",
    )


@st.composite
def placements(draw: st.DrawFn, machine: Machine) -> tuple[str, ...]:
    """Arguments that put layers and weights somewhere, on any GPUs of ``machine`` that llama.cpp takes."""
    n = len(devices_in_use(ServerParams(), machine.gpus))
    shares = st.lists(st.integers(1, 9), min_size=n, max_size=n).map(lambda counts: ",".join(map(str, counts)))
    where = st.one_of(
        shares.map(lambda text: ("-ngl", "99", "-ts", text)),
        st.integers(0, n - 1).map(lambda index: ("-ngl", "99", "-sm", "none", "-mg", str(index))),
        st.integers(0, 50).map(lambda count: ("-ngl", str(count))),
    )
    what = st.sampled_from(
        ((), ("-ncmoe", "3"), ("-cmoe",), ("-ot", r"blk\.(1|2)\.ffn_=CPU"), ("-nkvo",), ("-ot", "token_embd=CPU"))
    )
    return (*draw(where), *draw(what))


def requests() -> st.SearchStrategy[Request]:
    """Contexts, slots, cache types, micro-batches, headroom policies and bounds a user might ask for."""
    pins = [(), (), (), (Override(r"blk\.[0-3]\.", "CUDA0"),), (Override(r"blk\.1[0-9]\.ffn_(up|down).*", "CPU"),)]
    asked = st.builds(
        Request,
        n_ctx=st.sampled_from([4096, 10240, 32768, 131072]),
        n_parallel=st.sampled_from([1, 1, 2, 4]),
        cache_type_k=st.sampled_from(["f16", "q8_0"]),
        n_ubatch=st.sampled_from([512, 512, 128, 2048]),
        headroom=st.sampled_from(["default", "default", "1024", "10%"]).map(Headroom.parse),
        max_patterns=st.sampled_from([None, None, None, 2, 1, 0]),
        pins=st.sampled_from(pins),
        baselines=st.just(False),
    )
    return asked.map(_consistent)


def _consistent(request: Request) -> Request:
    """One type for K and V; pins or a number of patterns, since both at once may contradict each other."""
    most = None if request.pins else request.max_patterns
    return replace(request, cache_type_v=request.cache_type_k, max_patterns=most)

"""A slower GPU is used when it saves a tenth of the predicted time, and left out otherwise; either way it is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

import omniplan
from omniplan.domain.machine import Gpu, Machine, Memory
from omniplan.domain.processor import Cpu
from omniplan.planning.problem import speed
from omniplan.units import GIB
from tests.oracle import cases


def machine(*, size: int, bandwidth: float) -> Machine:
    """A fast GPU of 24 GiB and a second one."""
    fast = Gpu(
        name="CUDA0", description="fast", total=24 * GIB, free=24 * GIB, bandwidth=1e12, compute_capability="8.9"
    )
    slow = Gpu(
        name="CUDA1",
        description="second",
        total=size * GIB,
        free=size * GIB,
        bandwidth=bandwidth,
        compute_capability="8.9",
    )
    memory = Memory(total=192 * GIB, bandwidth=80e9)
    return Machine(name="pair", gpus=(fast, slow), memory=memory, cpu=Cpu(model="", n_cores=16, n_threads=32))


def test_gpus_are_ordered_by_what_the_table_knows() -> None:
    """A GPU without a stated bandwidth counts as its row in the table, as in the time model; others as unknown."""
    fast = machine(size=16, bandwidth=1e12).gpus[0]
    named = replace(fast, description="RTX 5090", bandwidth=None)
    unknown = replace(fast, description="nobody's", bandwidth=None)

    assert speed(unknown) < speed(fast) < speed(named) == 1792e9


@pytest.mark.parametrize(
    ("size", "bandwidth", "used"),
    [
        pytest.param(4, 800e9, False, id="small-and-slower"),
        pytest.param(24, 900e9, True, id="large-and-nearly-as-fast"),
        pytest.param(3, 1e12, True, id="small-but-as-fast"),
    ],
)
def test_a_second_gpu_earns_its_place(*, size: int, bandwidth: float, used: bool) -> None:
    """The margin is asked of slower GPUs only."""
    plan = omniplan.plan(
        cases.model("gpt-oss-120b-MXFP4_MOE"), machine(size=size, bandwidth=bandwidth), n_ctx=16384, baselines=False
    )
    told = [reason for reason in plan.reasons if reason.subject == "CUDA1" and "slower" in reason.statement]

    assert used is bool(plan.footprint.buffers.get("CUDA1"))
    assert [reason.verdict for reason in told] == ([] if used else ["rejected"])

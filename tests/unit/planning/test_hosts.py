"""Plans over several hosts: as few as do, and one more only where it is clearly faster."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import omniplan
from omniplan.domain.evidence import ReasonVerdict
from omniplan.domain.machine import Host, Machine
from omniplan.domain.params import Override
from omniplan.domain.plan import Plan
from omniplan.domain.request import DEFAULT
from omniplan.errors import Infeasible, RequestError
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.load.footprint import footprint
from omniplan.planning.hosts import ways
from tests.oracle.cases import model

HERE, THERE, YONDER = "10.0.0.1:50052", "10.0.0.2:50052", "10.0.0.3:50052"
QUICK: dict[str, Any] = {"n_ctx": 8192, "baselines": False}
DENSE = model("Llama-3.3-70B-Q4_K_M")
SMALL = model("Llama-3.1-8B-Q4_K_M")


def gpu_machine(gib: int, *, hosts: int = 0, gbs: float = 1.25) -> Machine:
    """A GPU of so many GiB, little RAM, and others of its kind in reach."""
    gpu = {"name": "CUDA0", "total_mib": gib * 1024, "compute_capability": "8.9", "bandwidth_gbs": 1008}
    memory = {"total_mib": 16 * 1024, "bandwidth_gbs": 50}
    alone = Machine.from_dict({"name": f"{gib} GiB", "gpus": [gpu], "memory": memory})
    others = (
        Host(address=address, machine=alone, link_bandwidth=gbs * 1e9, latency_us=100)
        for address in (THERE, YONDER, "10.0.0.4:50052", "10.0.0.5:50052")[:hosts]
    )
    return replace(alone, hosts=tuple(others))


def reasons(plan: Plan, verdict: ReasonVerdict) -> list[str]:
    """What is said of hosts."""
    return [f"{r.subject}: {r.statement}" for r in plan.reasons if r.verdict is verdict and "host" in r.subject]


def test_a_model_that_needs_a_second_host_gets_one() -> None:
    """The nearest that does, in arguments that are priced as planned, remote layers first."""
    plan = omniplan.plan(DENSE, gpu_machine(24, hosts=2), **QUICK)

    params = parse(plan.server_args)
    assert params.rpc == (THERE,)
    assert plan.footprint.fits is True
    assert plan.footprint.layers[0] == "RPC0"
    assert plan.footprint.layers[-1] == "CUDA0"
    assert footprint(DENSE, gpu_machine(24, hosts=2), params).buffers == plan.footprint.buffers
    assert reasons(plan, ReasonVerdict.CHOSEN) == [f"host {THERE}: nothing with fewer hosts keeps the limits"]


def test_nothing_is_sent_over_a_network_for_less_than_the_error() -> None:
    """A model that one card holds stays there, and the reasons say what hosts would have saved."""
    plan = omniplan.plan(SMALL, gpu_machine(24, hosts=1), **QUICK)

    assert "--rpc" not in plan.server_args
    assert plan.machine.gpus == gpu_machine(24).gpus
    assert len(reasons(plan, ReasonVerdict.REJECTED)) == 1
    assert "saves" in reasons(plan, ReasonVerdict.REJECTED)[0]


def test_a_slow_network_earns_less() -> None:
    """The same hosts over a slower link are never predicted faster."""
    fast, slow = (omniplan.plan(DENSE, gpu_machine(24, hosts=1, gbs=gbs), **QUICK) for gbs in (12.5, 0.1))

    assert slow.prediction.request_seconds.value > fast.prediction.request_seconds.value


def test_what_no_host_makes_fit_is_refused_with_all_of_them() -> None:
    """The shortfall is that of the largest machine there is."""
    with pytest.raises(Infeasible) as caught:
        omniplan.plan(DENSE, gpu_machine(12, hosts=1), **QUICK)

    assert set(caught.value.shortfall) & {"RPC0", "CUDA0", "RAM"}


def test_a_pin_names_memory_of_a_host_as_llama_server_does() -> None:
    """A device's own name is no buffer type, and the host is in every plan that is tried."""
    machine = gpu_machine(24, hosts=1)
    plan = omniplan.plan(SMALL, machine, pins=(Override(r"blk\.0\.ffn_down", f"RPC0[{THERE}]"),), **QUICK)

    assert f"blk\\.0\\.ffn_down=RPC0[{THERE}]" in plan.server_args
    assert plan.footprint.buffers["RPC0"].model > 0
    with pytest.raises(RequestError, match="there is no device RPC0"):
        omniplan.plan(SMALL, machine, pins=(Override("ffn_down", "RPC0"),), **QUICK)


def test_every_set_of_few_hosts_is_looked_at_and_of_many_the_first() -> None:
    """Fewest first."""
    assert [len(found) for found in ways(gpu_machine(24, hosts=2), DEFAULT)] == [0, 1, 1, 2]
    assert [len(found) for found in ways(gpu_machine(24, hosts=4), DEFAULT)] == [0, 1, 2, 3, 4]

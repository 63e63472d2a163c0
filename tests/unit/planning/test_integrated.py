"""A GPU of the processor beside one of its own."""

from __future__ import annotations

import omniplan
from tests.oracle import cases

MACHINE = omniplan.Machine.from_dict(
    {
        "name": "desktop",
        "gpus": [
            {"name": "Vulkan0", "description": "Radeon 780M", "total_mib": 32768, "unified": True},
            {"name": "Vulkan1", "description": "RX 7900 XTX", "total_mib": 24576},
        ],
        "memory": {"total_mib": 65536},
    }
)


def test_a_plan_leaves_out_what_llama_cpp_leaves_out() -> None:
    """The integrated one computes nothing, and the other is the first."""
    model = cases.model("Qwen3-0.6B-Q8_0")
    plan = omniplan.plan(model, MACHINE, n_ctx=4096, baselines=False)

    assert [gpu.name for gpu in plan.machine.gpus] == ["Vulkan1"]
    assert "Vulkan0: integrated" in plan.machine.notes[-1]
    assert {"Vulkan1", "Vulkan_Host"} == {name for name, size in plan.footprint.buffers.items() if size.total}
    assert omniplan.footprint(model, MACHINE, plan.server_args).buffers == plan.footprint.buffers

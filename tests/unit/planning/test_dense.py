"""A dense model that does not fit gives FFN weights or whole leading layers, whichever is predicted faster."""

from __future__ import annotations

import pytest

import omniplan
from tests.oracle import cases


@pytest.mark.parametrize("machine", ["single-3090", "dual-4090-5070ti"])
def test_leading_layers_where_they_are_faster(machine: str) -> None:
    """Not slower than --fit, which takes whole layers, without having been told of it."""
    known, model = omniplan.load_machine(machine), cases.model("Llama-3.3-70B-Q4_K_M")
    plan = omniplan.plan(model, known, n_ctx=32768)
    fitted = plan.baselines["fit"]

    assert "leading layers" in plan.strategy
    assert plan.prediction.request_seconds.value <= fitted.prediction.request_seconds.value

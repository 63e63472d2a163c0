"""Levers: what a plan says would be faster is what a plan with that comes to."""

from __future__ import annotations

from typing import Any

import pytest

import omniplan
from omniplan.domain.lever import QUANT
from omniplan.llamacpp.quant.requantise import requantise
from omniplan.planning.planner import advised_plan
from tests.oracle import cases

MODELS = ["GLM-4.7-Flash-Q8_0", "Qwen3.6-27B-MTP-Q4_K_M"]


@pytest.mark.parametrize("name", MODELS)
def test_a_lever_is_the_plan_that_it_leads_to(name: str) -> None:
    """Pulled, it is as fast as was said, or faster, since a whole plan settles more; the fastest comes first."""
    model, machine = cases.model(name), omniplan.load_machine("single-3090")
    request = omniplan.Request(n_ctx=16384)
    plan = advised_plan(model, machine, request)
    seconds = [lever.request_seconds.value for lever in plan.levers]

    assert plan.levers
    assert sorted(seconds) == seconds
    for lever in plan.levers:
        changed = requantise(model, lever.value) if lever.field == QUANT else model
        changes: dict[str, Any] = {} if lever.field == QUANT else {lever.field: _value(lever.value)}
        pulled = omniplan.plan(changed, machine, n_ctx=16384, baselines=False, **changes)
        assert pulled.prediction.request_seconds.value <= 1.001 * lever.request_seconds.value
        assert lever.request_seconds.value < plan.prediction.request_seconds.value


def _value(text: str) -> int | tuple[str, ...]:
    return int(text) if text.isdecimal() else (text,)


def test_a_plan_without_baselines_has_none() -> None:
    """They are searches of their own, for whoever has the time."""
    plan = omniplan.plan(cases.model(MODELS[0]), omniplan.load_machine("single-3090"), n_ctx=16384, baselines=False)

    assert plan.levers == ()

"""A plan says how fast it will be, and what the weights on the CPU cost of that."""

from __future__ import annotations

import re

import pytest

import omniplan
from omniplan.api.documents import parse_plan
from omniplan.planning.text_plan import plan_screen
from tests.oracle import cases
from tests.screens import everything

OMNI = omniplan.load_machine("omni-nps1")
DEEPSEEK = "DeepSeek-R1-Q4_K_M"
SAYS = re.compile(
    r"moving layers \d+-\d+'s experts to CPU costs (?P<cost>[\d.]+) ms/token and [\d.]+ s of the prompt; "
    r"[\d.]+ GiB more VRAM on CUDA\d would save (?P<gain>[\d.]+) ms \(layer \d+\)"
)


def test_terms_sum_to_the_request() -> None:
    """Seconds of the request are the prompt's terms plus the answer's tokens times the token's terms."""
    found = omniplan.plan(cases.model(DEEPSEEK), OMNI, n_prompt=1000, n_gen=10, baselines=False).prediction
    total = sum(found.prompt_terms.values()) + 10 * sum(found.terms.values())

    assert (1000, 10) == (found.n_prompt, found.n_gen)
    assert total == pytest.approx(found.request_seconds.value)
    assert found.request_seconds.low <= found.request_seconds.value <= found.request_seconds.high


def test_moved_layers_are_explained_in_time() -> None:
    """Each range of them by what it costs, with the VRAM that would help; report and saved plan hold the prediction."""
    plan = omniplan.plan(cases.model(DEEPSEEK), OMNI, baselines=False)
    notes = [reason.statement for reason in plan.reasons if "on the CPU" in reason.subject]
    costs = [SAYS.fullmatch(note) for note in notes]

    assert len(notes) == 2
    assert all(costs)
    assert sum(float(cost["cost"]) for cost in costs if cost) < 1e3 * sum(plan.prediction.terms.values())
    assert all(float(cost["cost"]) > float(cost["gain"]) > 0 for cost in costs if cost)
    assert "ms per token: " in everything(plan_screen(plan))
    assert parse_plan(plan.to_json()).prediction == plan.prediction


@pytest.mark.parametrize(
    ("asked", "says"),
    [({"objective": "joy"}, "request, decode, prompt"), ({"n_gen": -1}, "n_gen -1: expected 0 or more")],
)
def test_a_workload_nobody_can_run_is_refused(asked: dict[str, object], says: str) -> None:
    """Bad input, before anything is searched."""
    with pytest.raises(omniplan.InputError, match=says):
        omniplan.plan(cases.model(DEEPSEEK), OMNI, **asked)  # type: ignore[arg-type]

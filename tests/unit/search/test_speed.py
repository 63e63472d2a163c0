"""A plan says how fast it will be, and what the weights on the CPU cost of that."""

from __future__ import annotations

import pytest

import omniplan
from omniplan.codec.plan import parse_plan
from omniplan.emit.report import plan_text
from tests.oracle import cases

OMNI = omniplan.load_machine("omni-nps1")
DEEPSEEK = "DeepSeek-R1-Q4_K_M"


def test_terms_sum_to_the_request() -> None:
    """Seconds of the request are the prompt's terms plus the answer's tokens times the token's terms."""
    found = omniplan.plan(cases.model(DEEPSEEK), OMNI, n_prompt=1000, n_gen=10).prediction
    total = sum(found.prompt_terms.values()) + 10 * sum(found.terms.values())

    assert (1000, 10) == (found.n_prompt, found.n_gen)
    assert total == pytest.approx(found.request_seconds.value)
    assert found.request_seconds.low <= found.request_seconds.value <= found.request_seconds.high


def test_moved_layers_are_explained_in_time() -> None:
    """The note gives ms per token for what is on the CPU, and the report and the saved plan hold the prediction."""
    plan = omniplan.plan(cases.model(DEEPSEEK), OMNI)
    notes = [reason.statement for reason in plan.reasons if "on the CPU" in reason.subject]

    assert len(notes) == 1
    assert "ms of every token" in notes[0]
    assert "ms per token: " in plan_text(plan)
    assert parse_plan(plan.to_json()).prediction == plan.prediction


@pytest.mark.parametrize(
    ("asked", "says"), [({"objective": "joy"}, "request, decode, prompt"), ({"n_gen": -1}, "workload")]
)
def test_a_workload_nobody_can_run_is_refused(asked: dict[str, object], says: str) -> None:
    """Bad input, before anything is searched."""
    with pytest.raises(omniplan.InputError, match=says):
        omniplan.plan(cases.model(DEEPSEEK), OMNI, **asked)  # type: ignore[arg-type]

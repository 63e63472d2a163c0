"""The critic has nothing to say against a plan, and an answer to any text."""

from __future__ import annotations

from hypothesis import given

import omniplan
from omniplan.domain.check import Severity
from tests.oracle import cases
from tests.property.strategies import examples
from tests.property.test_plan import PROBLEMS, Problem, found


@examples(20)
@given(problem=PROBLEMS)
def test_plans_are_clean(problem: Problem) -> None:
    """Nothing above info, with model and machine at hand and without."""
    plan = found(problem)
    name, machine, _ = problem

    for model, target in ((cases.model(name), machine), (None, machine), (None, None)):
        report = omniplan.check(plan.server_args, model=model, machine=target, env=plan.environment)
        loud = [finding for finding in report.findings if finding.severity is not Severity.INFO]
        assert loud == []
        assert report.diff == ""

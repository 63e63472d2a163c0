"""Plans in two steps: the quick one keeps every limit, and the last is the one of `plan`."""

from __future__ import annotations

import pytest

import omniplan
from tests.oracle import cases

GLM = "GLM-4.7-Flash-Q8_0"
FREE = omniplan.Request(n_ctx=65536, n_ctx_least=8192, n_ubatch=None, cache_types=("f16", "q8_0"), mtp=None)


@pytest.mark.parametrize("request_", [omniplan.Request(n_ctx=16384), FREE], ids=["settled", "free"])
def test_the_quick_plan_comes_first_and_the_last_is_the_exact_one(request_: omniplan.Request) -> None:
    """The quick one is of the least context, without baselines, and keeps the headroom that the exact one keeps."""
    model = cases.model(GLM)
    quick, exact = omniplan.plans(model, "single-3090", request_)
    assert exact == omniplan.plan(model, "single-3090", request_)
    assert quick.settings.n_ctx == (request_.n_ctx_least or request_.n_ctx)
    assert not quick.baselines
    assert all(margin.left >= 0 for margin in quick.margins)
    assert quick == omniplan.plan(model, "single-3090", quick.request)


def test_what_one_search_cannot_find_has_no_quick_plan() -> None:
    """Only a cache of another type fits, or nothing at all does, which is then said as `plan` says it."""
    model, nothing = cases.model(GLM), omniplan.Headroom.parse("99%")
    asked = omniplan.Request(n_ctx=4096, headroom=nothing, cpu_weights=False)
    with pytest.raises(omniplan.Infeasible):
        next(omniplan.plans(model, "single-3090", asked))

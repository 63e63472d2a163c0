"""What a refusal offers holds: it has been planned, and the next larger does not fit."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from hypothesis import assume, given
from hypothesis import strategies as st

import omniplan
from omniplan.domain.machine import Machine, Memory
from omniplan.llamacpp.quant.requantise import smaller_quants
from omniplan.planning.planner import solve
from omniplan.planning.smaller import contexts_below
from omniplan.units import GIB
from tests.oracle import cases
from tests.property.strategies import examples, machines, names, requests

Problem = tuple[str, Machine, omniplan.Request]
COUNT = 6


@st.composite
def narrow(draw: st.DrawFn) -> Problem:
    """A model, a machine with little RAM, and a request with a context that is often too long; baselines or none."""
    host = replace(draw(machines(most=2)), memory=Memory(total=draw(st.integers(3, 24)) * GIB))
    n_ctx = draw(st.sampled_from([4096, 20000, 131072, 700001, 1562499]))
    asked = replace(draw(requests()), n_ctx=n_ctx, cpu_weights=draw(st.sampled_from([True, True, False])))
    asked = replace(asked, baselines=draw(st.booleans()))
    return draw(names()), host, replace(asked, n_ubatch=None) if draw(st.booleans()) else asked


@cache
def refused(problem: Problem) -> omniplan.Infeasible | None:
    """The refusal of a problem, None where it has a plan."""
    name, machine, request = problem
    return attempt(cases.model(name), machine, request)


def attempt(model: omniplan.Model, machine: Machine, request: omniplan.Request) -> omniplan.Infeasible | None:
    """The refusal of a request, None where it is planned."""
    try:
        solve(model, machine, request)
    except omniplan.Infeasible as refusal:
        return refusal
    return None


def refusal_of(problem: Problem) -> omniplan.Infeasible:
    """The refusal of a problem; one that fits is no example."""
    found = refused(problem)
    assume(found is not None)
    assert found is not None
    return found


@examples(COUNT)
@given(problem=narrow())
def test_what_is_offered_is_planned(problem: Problem) -> None:
    """Every change of the request, and the quant, taken as offered, has a plan."""
    name, machine, request = problem
    refusal, model = refusal_of(problem), cases.model(name)

    for remedy in refusal.remedies:
        assert attempt(model, machine, replace(request, **remedy)) is None
    if refusal.quant:
        assert attempt(omniplan.requantise(model, refusal.quant), machine, request) is None


@examples(COUNT)
@given(problem=narrow())
def test_no_longer_context_fits(problem: Problem) -> None:
    """The next larger context is refused, and none is beyond what the model was trained for."""
    name, machine, request = problem
    model = cases.model(name)
    offered = next((remedy["n_ctx"] or 0 for remedy in refusal_of(problem).remedies if "n_ctx" in remedy), 0)
    assert request.n_ctx is not None
    sizes = contexts_below(request.n_ctx, model.hparams.n_ctx_train)

    assert offered <= (model.hparams.n_ctx_train or request.n_ctx)
    if longer := next((n_ctx for n_ctx in sizes if n_ctx > offered), None):
        assert attempt(model, machine, replace(request, n_ctx=longer)) is not None


@examples(COUNT)
@given(problem=narrow())
def test_no_larger_quant_fits(problem: Problem) -> None:
    """The next larger of llama-quantize's mixtures is refused; where none is offered the smallest one is."""
    name, machine, request = problem
    model, refusal = cases.model(name), refusal_of(problem)
    assume(refusal.quant or not any("n_ctx" in remedy for remedy in refusal.remedies))
    larger = [quant for size, quant in smaller_quants(model) if size > refusal.quant_bytes]

    if larger:
        assert attempt(omniplan.requantise(model, larger[0]), machine, request) is not None

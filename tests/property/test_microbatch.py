"""On any machine: the micro-batch that is found is as good as any that is asked for, whatever else is."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

import omniplan
from omniplan import Request
from omniplan.domain.machine import Machine
from omniplan.domain.params import LoadMode
from omniplan.planning.ladder import Ladder
from omniplan.planning.microbatch import SIZES
from omniplan.planning.planner import solve
from tests.oracle import cases
from tests.property.strategies import examples, machines, names, requests

LOADS = st.sampled_from([(128, 1024), (2048, 256), (16384, 512)])


@examples(6)
@given(name=names(), machine=machines(), asked=requests(), load=LOADS, load_mode=st.sampled_from(LoadMode))
def test_no_size_is_faster(
    name: str, machine: Machine, asked: Request, load: tuple[int, int], load_mode: LoadMode
) -> None:
    """By more than 1 %, with op offload or without, loaded as is best or, in RAM of known size, as drawn."""
    n_prompt, n_gen = load
    free = replace(asked, n_ubatch=None, baselines=False, n_prompt=n_prompt, n_gen=n_gen)
    try:
        solved = solve(cases.model(name), machine, free)
    except omniplan.Infeasible:
        solved = None
    assume(solved is not None)
    assert solved is not None

    problem, took = solved.problem, solved.solution.seconds
    for size in SIZES:
        for op_offload in (True, False):
            forced = Ladder(problem.settled(replace(problem.settings, n_ubatch=size, op_offload=op_offload))).climb()
            assert forced is None or took <= 1.01 * forced.seconds, (size, op_offload)
    if machine.memory is None:
        return
    asked = replace(free, n_ubatch=problem.settings.n_ubatch, load_mode=load_mode)
    try:
        other = solve(cases.model(name), machine, asked)
    except omniplan.Infeasible:
        return
    assert took <= 1.01 * other.solution.seconds

"""A plan from beginning to end: what is asked, the search, the baselines, and whether --fit would do as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from omniplan.domain.closed import member
from omniplan.domain.headroom import Headroom
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.params import DEFAULT_BUILD, LoadMode
from omniplan.domain.plan import Plan, Request
from omniplan.domain.prediction import Objective
from omniplan.errors import InputError
from omniplan.planning import timing
from omniplan.planning.baselines import best_of, rivals
from omniplan.planning.choices import Choices, search
from omniplan.planning.microbatch import USUAL_BATCH
from omniplan.planning.problem import Problem
from omniplan.planning.result import plan_of

DEFAULT_CONTEXT: Final = 32768


def make_plan(
    model: Model,
    machine: Machine,
    *,
    n_ctx: int | None,
    n_parallel: int,
    cache_type_k: str,
    cache_type_v: str,
    n_ubatch: int | None,
    headroom: Headroom,
    n_prompt: int,
    n_gen: int,
    objective: str,
    baselines: bool = False,
    n_ctx_least: int | None = None,
    cache_types: Sequence[str] = (),
    pins: Sequence[str] = (),
    max_patterns: int | None = None,
    cpu_experts: bool = True,
    cpu_weights: bool = True,
    load_mode: str = "auto",
    machine_file: str | None = None,
    calibration: str | None = None,
    build: int = DEFAULT_BUILD,
) -> Plan:
    """The fastest plan that keeps every limit; raises Infeasible with the nearest miss and remedies."""
    for option, count in (("--ctx", n_ctx), ("--ctx", n_ctx_least), ("--parallel", n_parallel), ("--ubatch", n_ubatch)):
        if count is not None and count < 1:
            raise InputError(f"{option} {count}: expected at least 1; leave it out for the default")
    wish = n_ctx or max(n_ctx_least or 0, min(model.hparams.n_ctx_train, DEFAULT_CONTEXT))
    request = Request(
        n_ctx=wish,
        n_ctx_given=n_ctx is not None or n_ctx_least is not None,
        n_ctx_least=n_ctx_least,
        n_ctx_wish=None if n_ctx_least is None else wish,
        n_parallel=n_parallel,
        cache_type_k=cache_type_k,
        cache_type_v=cache_type_v,
        cache_types=tuple(cache_types),
        n_ubatch=n_ubatch or USUAL_BATCH,
        any_ubatch=n_ubatch is None,
        n_prompt=n_prompt,
        n_gen=n_gen,
        objective=member(Objective, objective, "objective"),
        pins=tuple(pins),
        max_patterns=max_patterns,
        cpu_experts=cpu_experts,
        cpu_weights=cpu_weights,
        load_mode=member(LoadMode, load_mode, "--load-mode"),
        headroom=headroom.text,
        machine=machine_file,
        calibration=calibration,
        build=build,
    )
    _check(request)
    types = tuple((name, name) for name in dict.fromkeys(cache_types)) or ((cache_type_k, cache_type_v),)
    problem = Problem(model, machine, request, headroom)
    if max_patterns is not None and len(problem.pins.texts) > max_patterns:
        raise InputError(f"--max-patterns {max_patterns}: {len(problem.pins.texts)} pins are more patterns than that")
    ladder, found = search(problem, Choices(cache_types=types, any_ubatch=n_ubatch is None))
    plain = ladder.problem.with_request(op_offload=True, head_on_cpu=False, n_ubatch=request.n_ubatch)
    known = {} if not baselines or problem.is_beyond_all else rivals(ladder.problem, plain, ladder.reporter)
    found = best_of(found, known, ladder.reporter)
    if found is None:
        from omniplan.planning.remedies import refusal

        raise refusal(ladder)
    return plan_of(ladder, found, known)


def _check(request: Request) -> None:
    """Raise InputError for what nobody can plan."""
    timing.check(request)
    least = request.n_ctx_least
    if least is not None and least > request.n_ctx:
        raise InputError(f"--ctx {least}..{request.n_ctx}: the least context is more than the wish")
    if request.max_patterns is not None and request.max_patterns < 0:
        raise InputError(f"--max-patterns {request.max_patterns}: expected 0 or more")

"""Plans: one, or a grid of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omniplan.api.source import ModelSource, calibrated, headroom_of, model_of
from omniplan.domain.headroom import Headroom
from omniplan.domain.machine import Machine

if TYPE_CHECKING:
    from omniplan.domain.frontier import Frontier
    from omniplan.domain.plan import Plan


def plan(
    source: ModelSource,
    machine: Machine,
    *,
    n_ctx: int | None = None,
    n_parallel: int = 1,
    cache_type_k: str = "f16",
    cache_type_v: str = "f16",
    n_ubatch: int | None = 512,
    headroom: Headroom | str | int | None = None,
    n_prompt: int = 2048,
    n_gen: int = 256,
    objective: str = "request",
    baselines: bool = False,
    calibration: str | Path | None = None,
) -> Plan:
    """Choose a placement that keeps ``headroom`` on every pool of ``machine``, with its price and its reasons.

    ``n_ctx`` is the total context in tokens over ``n_parallel`` slots (None: a default, recorded as an assumption).
    ``n_ubatch`` is the micro-batch in tokens, None for the one with the least predicted time of 256 to 8192.
    ``headroom`` is a policy, MiB to keep free per GPU, or text as on the command line. The plan's ``prediction`` is for
    a prompt of ``n_prompt`` and an answer of ``n_gen`` tokens; ``objective`` is what should take the least time:
    "request" (both), "decode" or "prompt". With ``baselines`` the plan carries what one would do without it, and is
    never predicted slower than a baseline that fits; this reproduces --fit, which takes a second on a large model.
    ``calibration`` is what the machine's own runs taught, a file of ``omniplan calibrate``.
    Raises Infeasible when nothing fits, with the shortfall and what would make it fit.
    """
    from omniplan.search.planner import make_plan

    return make_plan(
        model_of(source),
        calibrated(machine, calibration),
        n_ctx=n_ctx,
        n_parallel=n_parallel,
        cache_type_k=cache_type_k,
        cache_type_v=cache_type_v,
        n_ubatch=n_ubatch,
        headroom=headroom_of(headroom),
        n_prompt=n_prompt,
        n_gen=n_gen,
        objective=objective,
        baselines=baselines,
    )


def frontier(
    source: ModelSource,
    machine: Machine,
    *,
    contexts: Sequence[int] | None = None,
    cache_types: Sequence[str] = ("f16", "q8_0"),
    ubatches: Sequence[int] = (512, 2048),
    parallels: Sequence[int] = (1,),
    n_prompt: int = 2048,
    n_gen: int = 256,
    headroom: Headroom | str | int | None = None,
) -> Frontier:
    """What context, cache type, micro-batch and slots trade against speed and bytes: a plan for every combination.

    ``contexts`` are totals in tokens over the slots (None: powers of two from 4,096 and the training context, at most
    eight); a type is that of K and V. Combinations that do not fit say why instead of raising. The default grid is at
    most 32 plans, each about a quarter of a second; the rest is as for ``plan``.
    """
    from omniplan.search.frontier import make_frontier

    return make_frontier(
        model_of(source),
        machine,
        contexts=contexts,
        cache_types=cache_types,
        ubatches=ubatches,
        parallels=parallels,
        headroom=headroom_of(headroom),
        n_prompt=n_prompt,
        n_gen=n_gen,
    )

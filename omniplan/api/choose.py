"""Plans: one, or a grid of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omniplan.api.source import ModelSource, calibrated, headroom_of, load_machine, model_of
from omniplan.domain.headroom import Headroom
from omniplan.domain.machine import Machine
from omniplan.domain.params import DEFAULT_BUILD

if TYPE_CHECKING:
    from omniplan.domain.plan import Plan
    from omniplan.planning.frontier_values import Frontier


def plan(
    source: ModelSource,
    machine: Machine | str | Path,
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
    baselines: bool = True,
    n_ctx_least: int | None = None,
    cache_types: Sequence[str] = (),
    pins: Sequence[str] = (),
    max_patterns: int | None = None,
    no_cpu_experts: bool = False,
    gpu_only: bool = False,
    load_mode: str = "auto",
    calibration: str | Path | None = None,
    build: int | str = DEFAULT_BUILD,
) -> Plan:
    """Choose a placement that keeps ``headroom`` on every pool of ``machine``, with its price and its reasons.

    ``machine`` is one, the name of a shipped one, or a machine file.

    ``n_ctx`` is the total context in tokens over ``n_parallel`` slots (None: a default, recorded as an assumption).
    ``n_ubatch`` is the micro-batch in tokens, None for the one with the least predicted time of 256 to 8192.
    ``headroom`` is a policy, MiB to keep free per GPU, or text as on the command line. The plan's ``prediction`` is for
    a prompt of ``n_prompt`` and an answer of ``n_gen`` tokens; ``objective`` is what should take the least time:
    "request" (both), "decode" or "prompt".

    The plan carries ``baselines``, what one would do without it, and is never predicted slower than one that fits;
    ``baselines=False`` leaves them out, which saves most of the time. ``plan.fit_instead`` is --fit's own command where
    the plan gains less over it than the time model is off by.

    With ``n_ctx_least`` the context is the most up to ``n_ctx`` that is not clearly slower than that least. Of
    ``cache_types``, the preferred first, a later one must be clearly faster, or the first that fits; clearly is by more
    than the time model's error. ``pins`` are REGEX=BUFFER as for ``-ot``: what they match stays there, the rest is laid
    around it. ``max_patterns`` bounds the overrides, pins included; ``no_cpu_experts`` keeps routed experts off the
    CPU, ``gpu_only`` every weight of a layer. ``load_mode`` is llama-server's; "auto" pins host memory where a prompt
    streams from it. ``calibration`` is what the machine's own runs taught, a file of ``omniplan calibrate``. ``build``
    is the llama.cpp whose bytes count, 11434 or another known release such as "b11549". Raises InputError for what
    cannot be asked, Infeasible when nothing fits, with the shortfall and what would make it fit.
    """
    from omniplan.llamacpp.build import build_number
    from omniplan.planning.planner import make_plan

    known = machine if isinstance(machine, Machine) else load_machine(machine)
    return make_plan(
        model_of(source),
        calibrated(known, calibration),
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
        n_ctx_least=n_ctx_least,
        cache_types=cache_types,
        pins=pins,
        max_patterns=max_patterns,
        cpu_experts=not no_cpu_experts,
        cpu_weights=not gpu_only,
        load_mode=load_mode,
        machine_file=None if isinstance(machine, Machine) else str(machine),
        calibration=None if calibration is None else str(calibration),
        build=build_number(build),
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
    most 32 plans, each about half a second; the rest is as for ``plan``.
    """
    from omniplan.planning.frontier import make_frontier

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

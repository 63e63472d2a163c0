"""Engines: llama.cpp and the others, weighed for a model and a machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from omniplan.api.source import ModelSource, headroom_of, model_of
from omniplan.domain.headroom import Headroom
from omniplan.domain.machine import Machine
from omniplan.errors import Infeasible, InputError

if TYPE_CHECKING:
    from omniplan.domain.plan import Plan
    from omniplan.engines.site import Site
    from omniplan.engines.values import Weighing


def weigh_engines(
    source: ModelSource,
    machine: Machine,
    *,
    site: Site | Sequence[str] | Mapping[str, object] = (),
    as_of: date | str | None = None,
    n_ctx: int | None = None,
    versions: Mapping[str, str] | None = None,
    headroom: Headroom | str | int | None = None,
) -> Weighing:
    """Whether llama.cpp, ik_llama.cpp, KTransformers, SGLang + kt-kernel, vLLM and others can run a model on a machine.

    ``site`` says what no machine file holds: names of shipped sites, paths and ``key=value`` texts, or plain data;
    what nobody says stays unknown, and turns a rule that hangs on it into a condition. ``as_of`` is a day, as
    "2026-01-23": only facts recorded by then count (None: all). ``versions`` replace the newest known of an engine.
    ``n_ctx`` is the context in tokens (None: as for ``plan``). llama.cpp's bytes are simulated, all others' modelled.
    Raises InputError for an unknown site, day or engine.
    """
    from omniplan.engines.weigh import EngineQuestion, weigh
    from omniplan.planning.planner import DEFAULT_CONTEXT, make_plan

    model = model_of(source)
    total = min(model.hparams.n_ctx_train or DEFAULT_CONTEXT, DEFAULT_CONTEXT) if n_ctx is None else n_ctx
    found: Plan | Infeasible
    try:
        found = make_plan(
            model, machine, n_ctx=total, n_parallel=1, cache_type_k="f16", cache_type_v="f16", n_ubatch=512,
            headroom=headroom_of(headroom), n_prompt=2048, n_gen=256, objective="request",
        )  # fmt: skip
    except Infeasible as refusal:
        found = refusal
    question = EngineQuestion(
        model=model,
        machine=machine,
        site=_site(site),
        n_ctx=total,
        plan=found,
        as_of=_day(as_of),
        versions=versions or {},
    )
    return weigh(question)


def _site(given: Site | Sequence[str] | Mapping[str, object]) -> Site:
    from omniplan.engines.site import Site, load_site, read_site

    if isinstance(given, Site):
        return given
    return read_site(given) if isinstance(given, Mapping) else load_site([given] if isinstance(given, str) else given)


def _day(given: date | str | None) -> date | None:
    if not isinstance(given, str):
        return given
    try:
        return date.fromisoformat(given)
    except ValueError:
        raise InputError(f"as of {given!r}: expected a day such as 2026-01-23") from None

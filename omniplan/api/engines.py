"""Engines: llama.cpp and the others, weighed for a model and a machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Unpack

from omniplan.api.source import machine_of, model_of, requested
from omniplan.errors import Infeasible, InputError

if TYPE_CHECKING:
    from omniplan.api.source import MachineSource, ModelSource
    from omniplan.domain.plan import Plan
    from omniplan.domain.request import Request, RequestChanges
    from omniplan.engines.site import Site
    from omniplan.engines.values import Weighing


def weigh_engines(
    model: ModelSource,
    machine: MachineSource,
    request: Request | None = None,
    *,
    site: Site | Sequence[str] | Mapping[str, object] = (),
    as_of: date | str | None = None,
    versions: Mapping[str, str] | None = None,
    build: int | str | None = None,
    **changes: Unpack[RequestChanges],
) -> Weighing:
    """Whether llama.cpp, ik_llama.cpp, KTransformers, SGLang + kt-kernel, vLLM and others can run a model on a machine.

    ``site`` says what no machine file holds: names of shipped sites, paths and ``key=value`` texts, or plain data;
    what nobody says stays unknown, and turns a rule that hangs on it into a condition. ``as_of`` is a day, as
    "2026-01-23": only facts recorded by then count (None: all). ``versions`` replace the newest known of an engine.
    ``request``, ``build`` and ``changes`` are as for ``plan``. llama.cpp's bytes are simulated, all others' modelled.
    Raises InputError for an unknown site, day or engine.
    """
    from omniplan.engines.weigh import EngineQuestion, weigh
    from omniplan.planning.planner import make_plan, usual_context

    known, host = model_of(model), machine_of(machine)
    asked = requested(request, build, changes)
    found: Plan | Infeasible
    try:
        found = make_plan(known, host, replace(asked, baselines=False))
    except Infeasible as refusal:
        found = refusal
    question = EngineQuestion(
        model=known,
        machine=host,
        site=_site(site),
        n_ctx=asked.n_ctx or usual_context(known),
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

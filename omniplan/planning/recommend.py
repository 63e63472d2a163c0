"""Several quants of one model on one machine: a plan for each, ranked by what they would do there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.plan import Plan
from omniplan.domain.prediction import Objective
from omniplan.domain.progress import Progress, told, unwatched
from omniplan.domain.request import Request
from omniplan.errors import Infeasible, InputError, UnsupportedModel
from omniplan.llamacpp.load.margin import unpriced_build
from omniplan.llamacpp.load.unpriced import unpriced_devices
from omniplan.llamacpp.quant.requantise import bits_per_weight, quant_name, requantise
from omniplan.llamacpp.quant.same_model import Identity, commonest
from omniplan.planning.frontier import short, too_small
from omniplan.planning.frontier_values import Outcome
from omniplan.planning.planner import make_plan, usual_context
from omniplan.planning.recommendation import LeftOut, QuantOption, Recommendation

# Differences that are told of a file of another model.
_NAMED: Final = 3
_RATE: Final[dict[Objective, Callable[[Outcome], float]]] = {
    Objective.REQUEST: lambda outcome: outcome.request_seconds.value,
    Objective.DECODE: lambda outcome: -outcome.decode_tokens_per_second.value,
    Objective.PROMPT: lambda outcome: -outcome.prompt_tokens_per_second.value,
}


def make_recommendation(
    models: Sequence[Model],
    machine: Machine,
    request: Request,
    *,
    what_if: Sequence[str],
    left_out: Sequence[LeftOut],
    progress: Progress = unwatched,
) -> Recommendation:
    """One plan per model and per ``what_if`` quant, about half a second each.

    ``models`` that are not the one most of them are go to ``left_out``; ``what_if`` quants are estimated from the file
    with the most bits per weight. Raises InputError for an unknown quant, or without models.
    """
    same, others = _same(models, left_out)
    # The same for all, though files of one model may say differently what it was trained for.
    request = replace(request, n_ctx=request.n_ctx or max(request.n_ctx_least or 0, usual_context(same[0])))
    estimates, refused = _estimates(max(same, key=lambda model: bits_per_weight(model.header)), what_if)
    plan = partial(make_plan, machine=machine, request=request)
    asked = [(model, False) for model in same] + [(model, True) for model in estimates]
    steps = told([(f"planning {quant_name(item[0].header)}", item) for item in asked], progress)
    options = [_option(model, plan, is_estimate=is_estimate) for model, is_estimate in steps]
    return Recommendation(
        model=str(same[0].header.metadata.get("general.name", "") or same[0].arch),
        machine=machine.name,
        request=request,
        options=_ranked(options, _RATE[request.objective]),
        left_out=(*left_out, *others, *refused),
        unpriced=(*unpriced_build(request.build), *unpriced_devices(machine.gpus)),
    )


def _same(models: Sequence[Model], left_out: Sequence[LeftOut]) -> tuple[list[Model], list[LeftOut]]:
    """The files of the model that most files hold, and how the others differ."""
    if not models:
        reasons = "; ".join(f"{item.path}: {item.reason}" for item in left_out)
        raise InputError(f"recommend: no file of a model to rank{f' ({reasons})' if reasons else ''}")
    identity = commonest(models)
    same, others = [], []
    for model in models:
        if differences := Identity.of(model).differences(identity):
            more = f"; and {len(differences) - _NAMED} more" if len(differences) > _NAMED else ""
            reason = f"another model: {'; '.join(differences[:_NAMED])}{more}"
            others.append(LeftOut(path=model.header.paths[0], reason=reason))
        else:
            same.append(model)
    return same, others


def _estimates(model: Model, quants: Sequence[str]) -> tuple[list[Model], list[LeftOut]]:
    made, refused = [], []
    for quant in dict.fromkeys(quants):
        try:
            made.append(requantise(model, quant))
        except UnsupportedModel as error:
            refused.append(LeftOut(path=f"what-if {quant}", reason=str(error)))
    return made, refused


def _option(model: Model, plan: Callable[[Model], Plan], *, is_estimate: bool) -> QuantOption:
    header = model.header
    option = QuantOption(
        path=header.paths[0],
        quant=quant_name(header),
        bits_per_weight=bits_per_weight(header),
        tensor_bytes=header.tensor_bytes,
        file_bytes=header.file_bytes,
        is_estimate=is_estimate,
        assumptions=model.assumptions,
    )
    try:
        found = plan(model)
    except Infeasible as error:
        return replace(option, why_not=short(error))
    refused = too_small(found)
    return replace(option, why_not=refused) if refused else replace(option, outcome=Outcome.of(found))


def _ranked(options: Sequence[QuantOption], rate: Callable[[Outcome], float]) -> tuple[QuantOption, ...]:
    """Those that fit, best first, of equals the one with more bits; then the others, smallest first."""
    fits = [(rate(option.outcome), option) for option in options if option.outcome is not None]
    fits.sort(key=lambda pair: (pair[0], -pair[1].bits_per_weight))
    marked = (
        replace(option, is_efficient=not any(_beats(other, (took, option)) for other in fits)) for took, option in fits
    )
    misses = sorted((option for option in options if option.outcome is None), key=lambda option: option.tensor_bytes)
    return (*marked, *misses)


def _beats(other: tuple[float, QuantOption], own: tuple[float, QuantOption]) -> bool:
    """Whether ``other`` is at least as quick and as precise, and better in one."""
    merits = (-other[0], other[1].bits_per_weight), (-own[0], own[1].bits_per_weight)
    return merits[0] != merits[1] and all(theirs >= mine for theirs, mine in zip(*merits, strict=True))

"""Several models, or quants of one, on one machine: a plan for each, best first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.plan import Plan
from omniplan.domain.prediction import Objective
from omniplan.domain.progress import Progress, unwatched
from omniplan.domain.request import Request
from omniplan.errors import ArgumentError, InputError, UnsupportedModel
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.load.margin import unpriced_build
from omniplan.llamacpp.load.unpriced import unpriced_devices
from omniplan.llamacpp.quant.quality import quality
from omniplan.llamacpp.quant.requantise import bits_per_weight, quant_name
from omniplan.llamacpp.quant.same_model import Identity
from omniplan.llamacpp.quant.usual import assumed_loss, estimated, known_quant, published_loss
from omniplan.planning.frontier import short, too_small
from omniplan.planning.frontier_values import Outcome
from omniplan.planning.ladder import Ladder
from omniplan.planning.planner import attempt, usual_context
from omniplan.planning.recommendation import LeftOut, PublishedQuality, QuantOption, Recommendation
from omniplan.planning.remedies import missing
from omniplan.planning.result import plan_of
from omniplan.planning.smaller import largest_context
from omniplan.planning.workers import in_order

# How many times as long as the fastest one is still worth more bits: all on GPUs, Q6_K takes about that of IQ4_XS. What
# reads a good part of its weights from RAM takes longer.
WORTH: Final = 1.5
# More perplexity than this is what people notice: 4-bit mixes lose 1 to 4 % of it, 3-bit ones 9 % and more.
NOTICED: Final = 0.05
# Tokens per second below which whoever reads along waits: 238 words a minute, four tokens for three words (Brysbaert,
# "How many words do we read per minute?", Journal of Memory and Language 109, 2019).
READ: Final = 5.0
_SECONDS: Final[dict[Objective, Callable[[Outcome], float]]] = {
    Objective.REQUEST: lambda outcome: outcome.request_seconds.value,
    Objective.DECODE: lambda outcome: 1 / outcome.decode_tokens_per_second.value,
    Objective.PROMPT: lambda outcome: 1 / outcome.prompt_tokens_per_second.value,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A model to plan: a file's, or the estimate of one; ``quant`` is what it is offered as."""

    model: Model
    quant: str
    is_estimate: bool = False

    @classmethod
    def of(cls, model: Model) -> Offer:
        """The file that ``model`` was read from."""
        return cls(model=model, quant=quant_name(model.header))


def make_recommendation(
    offers: Sequence[Offer],
    machine: Machine,
    request: Request,
    *,
    what_if: Sequence[str] = (),
    left_out: Sequence[LeftOut] = (),
    progress: Progress = unwatched,
) -> Recommendation:
    """One plan per offer and per ``what_if`` quant of the offer with the most bits per weight, on all cores.

    Raises InputError for an unknown quant, or without offers, ArgumentError for an unknown type of cache.
    """
    if not offers:
        reasons = "; ".join(f"{item.path}: {item.reason}" for item in left_out)
        raise InputError(f"recommend: no file of a model to rank{f' ({reasons})' if reasons else ''}")
    parse(["-ctk", request.cache_type_k, "-ctv", request.cache_type_v])
    best = max((offer.model for offer in offers), key=lambda model: bits_per_weight(model.header))
    estimates, refused = _estimates(best, what_if)
    first = offers[0].model
    is_usual = request.n_ctx is None and request.n_ctx_least is None
    own = Identity.of(first)
    is_one = not any(Identity.of(offer.model).differences(own) for offer in offers)
    if is_usual and is_one:
        # The same for all, though files of one model may say differently what it was trained for.
        request = replace(request, n_ctx=usual_context(first))
    plan = partial(_option, machine, request, is_usual)
    found = in_order(plan, [*offers, *estimates], progress, lambda offer: f"planning {offer.quant}")
    # Nor are they always called alike.
    found = [replace(option, model=found[0].model) for option in found] if is_one else found
    options, why = _ranked(found, _SECONDS[request.objective])
    return Recommendation(
        model=found[0].model,
        machine=machine.name,
        request=request,
        options=options,
        why=why,
        left_out=(*left_out, *refused),
        unpriced=(*unpriced_build(request.build), *unpriced_devices(machine.gpus)),
    )


def _estimates(model: Model, quants: Sequence[str]) -> tuple[list[Offer], list[LeftOut]]:
    made, refused = [], []
    for quant in dict.fromkeys(map(known_quant, quants)):
        try:
            made.append(Offer(model=estimated(model, quant), quant=quant, is_estimate=True))
        except UnsupportedModel as error:
            refused.append(LeftOut(path=f"what-if {quant}", reason=str(error)))
    return made, refused


def _option(machine: Machine, request: Request, is_usual: bool, offer: Offer) -> QuantOption:
    """The offer with its plan; where nobody asked for a context, with the largest that fits."""
    model, header = offer.model, offer.model.header
    option = QuantOption(
        path=header.paths[0],
        model=model.title,
        quant=offer.quant,
        bits_per_weight=bits_per_weight(header),
        tensor_bytes=header.tensor_bytes,
        file_bytes=header.file_bytes,
        is_estimate=offer.is_estimate,
        assumptions=model.assumptions,
        quality=_quality(offer.quant),
    )
    try:
        found = attempt(model, machine, request)
        if is_usual and isinstance(found, Ladder) and (n_ctx := largest_context(found.problem, missing(found))):
            found = attempt(model, machine, replace(request, n_ctx=n_ctx))
    except ArgumentError as error:
        return replace(option, why_not=str(error))
    return replace(option, why_not=short(found)) if isinstance(found, Ladder) else _with_plan(option, plan_of(found))


def _with_plan(option: QuantOption, plan: Plan) -> QuantOption:
    if refused := too_small(plan):
        return replace(option, why_not=refused)
    return replace(option, outcome=Outcome.of(plan), n_ctx=plan.footprint.n_ctx)


def _quality(quant: str) -> PublishedQuality | None:
    known, table = published_loss(quant), quality()
    if known is None:
        return None
    return PublishedQuality(loss=known.loss, divergence=known.divergence, measured=table.measured, source=table.source)


def _ranked(options: Sequence[QuantOption], seconds: Callable[[Outcome], float]) -> tuple[tuple[QuantOption, ...], str]:
    """Those that fit, best first, then the others by size; and why the first is first."""
    fits = [(seconds(option.outcome), option) for option in options if option.outcome is not None]
    misses = sorted((option for option in options if option.outcome is None), key=lambda option: option.tensor_bytes)
    marked = [(took, replace(option, is_efficient=_is_efficient(took, option, fits))) for took, option in fits]
    if len({option.model for option in options}) > 1 or not fits:
        ordered, why = sorted(marked, key=lambda pair: pair[0]), ""
    else:
        ordered, why = _by_worth(marked)
    return (*(option for _, option in ordered), *misses), why


_Timed = tuple[float, QuantOption]


def _by_worth(fits: Sequence[_Timed]) -> tuple[list[_Timed], str]:
    """Quants of one model in three groups: nearly lossless and fast enough, slower, and lossy.

    Fast enough is at most ``WORTH`` times the time of the fastest that loses little. Where none of those is written as
    fast as people read, the lossy one with the most bits that is comes first. Each group is in the order of its bits,
    for that is what they are taken for, slower ones in that of their speed.
    """
    sound = [pair for pair in fits if assumed_loss(pair[1].quant, pair[1].bits_per_weight) <= NOTICED]
    quick = [pair for pair in fits if pair[1].outcome and pair[1].outcome.decode_tokens_per_second.value >= READ]
    best = [pair for pair in sound if pair in quick] or quick or sound or [*fits]
    by_bits = partial(sorted, key=lambda pair: (-pair[1].bits_per_weight, pair[0]))
    is_lossy = not any(pair in sound for pair in best)
    fastest = min(best, key=lambda pair: pair[0])
    enough = by_bits(best)[:1] if is_lossy else [pair for pair in best if pair[0] <= WORTH * fastest[0]]
    slower = [pair for pair in sound if pair not in enough]
    lossy = [pair for pair in fits if pair not in (*enough, *slower)]
    ordered = [*by_bits(enough), *sorted(slower, key=lambda pair: pair[0]), *by_bits(lossy)]
    if len(fits) == 1:
        return ordered, "the only one that fits"
    if is_lossy:
        return ordered, _least_bad(n_sound=len(sound), n_quick=len(quick))
    return ordered, _why(ordered[0][1], fastest[1], n_sound=len(sound), n_all=len(fits))


def _least_bad(*, n_sound: int, n_quick: int) -> str:
    of = f"of those that write at least {READ:.0f} tokens/s, as fast as people read" if n_quick else "of all"
    if n_sound:
        return f"the most bits {of}; what loses less is slower"
    return f"the most bits {of}; all lose much"


def _why(best: QuantOption, fastest: QuantOption, *, n_sound: int, n_all: int) -> str:
    among = "that loses little" if n_sound < n_all else "of all"
    if best.quant == fastest.quant:
        return f"the fastest {among}, and none with more bits is two thirds as fast"
    return f"the most bits among those at least two thirds as fast as {fastest.quant}, the fastest {among}"


def _is_efficient(took: float, option: QuantOption, fits: Sequence[_Timed]) -> bool:
    """Whether no other is at least as quick and as precise, and better in one."""
    own = (-took, option.bits_per_weight)
    others = ((-other_took, other.bits_per_weight) for other_took, other in fits)
    return not any(own != other and all(a >= b for a, b in zip(other, own, strict=True)) for other in others)

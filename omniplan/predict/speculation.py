"""What a round of speculative decoding takes and yields: drafting, verifying, and how many drafts pay.

common/speculative.cpp of b11434: an MTP head or a draft model runs once per drafted token, a block drafter once per
block, and each sees the verified tokens in one more pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.params import ServerParams
from omniplan.domain.prediction import Cause, Estimate, Speculation
from omniplan.llamacpp.load.footprint import placed
from omniplan.llamacpp.load.placement import Placement
from omniplan.llamacpp.load.speculation import SecondContext, second
from omniplan.predict.acceptance import Drafting, Rhythm, assumed, chance_of, tokens_per_round, ways
from omniplan.predict.decode import cpu_weights, decode_terms, gpu_weights
from omniplan.predict.rates import Rates
from omniplan.predict.traffic import heads, traffic

# Verifying at most as many tokens as kernels of few columns take: ggml-cuda/mmvq.cuh, MMVQ_MAX_BATCH_SIZE.
MOST_DRAFTED: Final = 7

# Share of the gain within which fewer drafts are as good: each takes states and a longer round. Three sweeps of one rig
# (sudoingX/qwen38-mtp, 2026-10: RTX 5090, RTX PRO 6000, RTX A6000) gain 2.08 to 2.10, 2.21 to 2.30 and 2.19 to 2.40
# with 3 to 6 drafts.
_ALIKE: Final = 0.05

# Seconds by cause of a decode of so many tokens.
Decode = Callable[[int], Mapping[Cause, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafter:
    """Seconds for each drafted token and for each round; ``most`` drafted tokens, 0 for any number."""

    each: float = 0.0
    once: float = 0.0
    most: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Where all of it runs."""

    machine: Machine
    params: ServerParams
    rates: Rates
    constants: Mapping[str, float]


def speculate(
    model: Model, placement: Placement, host: Conditions, decode: Decode, depth: int, stated: float | None
) -> tuple[Speculation, dict[Cause, float]] | str:
    """The round that ``host.params`` ask for, and its seconds by cause per token kept; or why it is not counted.

    ``decode`` prices the model itself, ``stated`` is the share of drafted tokens that is kept.
    """
    kind = next((kind for kind in host.params.spec_types if kind in ways()), host.params.spec_types[0])
    way = ways().get(kind)
    if way is None:
        return f"{kind} is not counted: how often text repeats is not known"
    drafter = _drafter(way, model, placement, host, decode(1), depth)
    if drafter is None:
        return f"{kind} is not counted: what drafts is not at hand"
    if stated is None and not way.chance:
        return f"{kind} is not counted: its acceptance is not stated, and no measured row has it"
    n = min(host.params.draft.n_max, drafter.most or host.params.draft.n_max)
    if n < 1:
        return f"{kind} is not counted: nothing is drafted"
    kept = assumed(way, n) if stated is None else Estimate(low=stated, value=stated, high=stated)
    chance = chance_of(kept.value, n)
    alone, seconds = sum(decode(1).values()), _round(decode, drafter, n)
    tokens = tokens_per_round(chance, n)
    tried = range(1, 1 + (drafter.most or MOST_DRAFTED))
    gains = {0: 1.0, **{each: _gain(alone, decode, drafter, chance, each) for each in tried}}
    best = min(each for each in gains if gains[each] >= (1 - _ALIKE) * max(gains.values()))
    found = Speculation(
        kind=kind,
        n_max=n,
        acceptance=kept,
        source="stated" if stated is not None else f"{way.source}, {way.date}",
        tokens_per_round=tokens,
        gain=Estimate(low=1 + n * kept.low, value=tokens, high=1 + n * kept.high).scaled(alone / sum(seconds.values())),
        best_n_max=best,
        best_gain=gains[best],
    )
    return found, {cause: value / tokens for cause, value in seconds.items()}


def _gain(alone: float, decode: Decode, drafter: Drafter, chance: float, n: int) -> float:
    return tokens_per_round(chance, n) * alone / sum(_round(decode, drafter, n).values())


def _round(decode: Decode, drafter: Drafter, n: int) -> dict[Cause, float]:
    return {**decode(n + 1), Cause.DRAFTING: drafter.once + n * drafter.each}


def _drafter(
    way: Drafting, model: Model, placement: Placement, host: Conditions, alone: Mapping[Cause, float], depth: int
) -> Drafter | None:
    """What drafts, as far as it is at hand: a model of its own, or the model's own heads."""
    found = second(model, host.params, placement.context.n_ctx)
    if found is None:
        return None
    if way.rhythm is Rhythm.HEAD:
        return _heads(found.model, placement, host, alone)
    return _model(found, way, host, depth)


def _heads(source: Model, placement: Placement, host: Conditions, alone: Mapping[Cause, float]) -> Drafter | None:
    """A pass reads one head and the output matrix; besides, its layer takes what one of the model's takes."""
    h = source.hparams
    n_heads = h.n_layer_all - h.n_layer
    if not n_heads:
        return None
    weights = (Cause.GPU_WEIGHTS, Cause.CPU_WEIGHTS)
    layer = sum(seconds for cause, seconds in alone.items() if cause not in weights) / len(placement.layers)
    layer += host.constants["draft.pass"]
    each, once = (_reading(source, placement, host, with_output=with_output) for with_output in (True, False))
    # Several heads draft one token each; a single one feeds itself.
    return Drafter(each=each / n_heads + layer, once=once + n_heads * layer, most=n_heads if n_heads > 1 else 0)


def _reading(source: Model, placement: Placement, host: Conditions, *, with_output: bool) -> float:
    found = heads(source, placement, with_output=with_output)
    return gpu_weights(found, host.rates, host.constants, 1) + cpu_weights(found, host.rates, host.constants)


def _model(found: SecondContext, way: Drafting, host: Conditions, depth: int) -> Drafter:
    """A pass of the draft model is a decode of its own."""
    placement, priced = placed(found.model, host.machine, found.params)
    touched = traffic(found.model, placement, depth=depth)
    one, several = (
        sum(decode_terms(placement, priced, touched, host.rates, host.constants, n).values())
        + host.constants["draft.pass"]
        for n in (1, host.params.draft.n_max + 1)
    )
    return Drafter(each=one, once=several) if way.rhythm is Rhythm.TOKEN else Drafter(once=2 * several)

"""A prediction for given arguments: decode, prompt and request time with ranges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from operator import attrgetter

from omniplan.domain.footprint import Footprint
from omniplan.domain.hosts import joined, undescribed
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.params import ServerParams, SplitMode
from omniplan.domain.prediction import Cause, Estimate, Phase, Prediction
from omniplan.domain.request import DEFAULT
from omniplan.errors import InputError
from omniplan.llamacpp.ggml import buffers
from omniplan.llamacpp.load.division import table
from omniplan.llamacpp.load.footprint import placed as price
from omniplan.llamacpp.load.footprint import pools
from omniplan.llamacpp.load.place import place
from omniplan.llamacpp.load.placement import Placement
from omniplan.llamacpp.load.speculation import settled
from omniplan.predict import network
from omniplan.predict.accuracy import Accuracy, Devices, accuracies
from omniplan.predict.constants import known_on
from omniplan.predict.decode import decode_terms
from omniplan.predict.hits import by_layer, expected
from omniplan.predict.prefill import Prompt, prompt_terms
from omniplan.predict.rates import rates
from omniplan.predict.speculation import Conditions, speculate
from omniplan.predict.traffic import Traffic, at_depth, cached, traffic


def predict(
    model: Model,
    machine: Machine,
    params: ServerParams,
    *,
    n_prompt: int = DEFAULT.n_prompt,
    n_gen: int = DEFAULT.n_gen,
    depth: int = 0,
    constants: Mapping[str, float] | None = None,
    acceptance: float | None = None,
    hit_rate: float | None = None,
) -> Prediction:
    """Predict ``params`` on ``machine`` for a prompt of ``n_prompt`` and an answer of ``n_gen`` tokens.

    ``depth`` tokens are already in the cache when the prompt comes. One sequence is predicted. ``acceptance`` is the
    share of drafted tokens that is kept, None for what measured rows have. Raises InputError where nothing is known.
    """
    if others := undescribed(machine, params.rpc):
        raise InputError(
            f"how fast {', '.join(others)} is is not known: no [[hosts]] of the machine describes it; add one"
        )
    machine = joined(machine, params.rpc)
    placement, priced = placed(model, machine, params)
    if not is_known(params):
        problem = f"how fast it runs is not known; measured: {'; '.join(table().measured)}"
        raise InputError(problem, field="--split-mode", value=params.split_mode)
    workload = (n_prompt, n_gen, depth)
    return predict_placed(model, machine, params, placement, priced, workload, constants, acceptance, hit_rate)


def is_known(params: ServerParams) -> bool:
    """Whether the terms of a prediction describe ``params``: devices that divide every tensor wait for each other."""
    return params.split_mode is not SplitMode.TENSOR


def placed(model: Model, machine: Machine, params: ServerParams) -> tuple[Placement, Footprint]:
    """Placement and footprint of ``params``; kept for the next workload, and for other free memory, asked about."""
    machine = joined(machine, params.rpc)
    placement, priced = _placed(model, unsized(machine) if any(params.tensor_split) else machine, params)
    return placement, replace(priced, pools=tuple(pools(machine, priced.buffers)))


@lru_cache(maxsize=256)
def _placed(model: Model, machine: Machine, params: ServerParams) -> tuple[Placement, Footprint]:
    return price(model, machine, params)


def unsized(machine: Machine) -> Machine:
    """The machine but for how much memory is free: that changes neither speeds nor a layout that says its split."""
    gpus = tuple(replace(gpu, free=gpu.total, reserved=()) for gpu in machine.gpus)
    return replace(machine, gpus=gpus, memory=machine.memory and replace(machine.memory, total=0, reserved=()))


def predict_priced(
    model: Model, machine: Machine, params: ServerParams, priced: Footprint, n_prompt: int, n_gen: int, depth: int
) -> Prediction:
    """The same with a footprint at hand; ``params`` are such as ``is_known``."""
    machine = joined(machine, params.rpc)
    placement = place(model, machine, params)
    return predict_placed(model, machine, params, placement, priced, (n_prompt, n_gen, depth), None)


def predict_placed(
    model: Model,
    machine: Machine,
    params: ServerParams,
    placement: Placement,
    priced: Footprint,
    workload: tuple[int, int, int],
    constants: Mapping[str, float] | None,
    acceptance: float | None = None,
    hit_rate: float | None = None,
) -> Prediction:
    """The same with placement and footprint at hand; ``workload`` is prompt, answer and depth in tokens."""
    known = known_on(machine.constants) if constants is None else constants
    n_prompt, n_gen, depth = workload
    speeds = rates(machine, params, known)
    at = depth + n_prompt + n_gen // 2
    plain = traffic(model, placement, depth=at)
    waited = network.seconds(model, placement, speeds, known, n_tokens=1, depth=at)
    decode = partial(decode_terms, placement, priced, network=waited)
    found = by_layer(placement.expert_cache, hit_rate) if placement.expert_cache else {}
    answer, seconds = _answer(model, placement, plain, found, lambda each: decode(each, speeds, known))
    terms = decode(answer, speeds, known)
    drafted = None
    if (drafting := settled(model, params)).spec_types:
        host = Conditions(machine=machine, params=drafting, rates=speeds, constants=known)
        drafted = speculate(model, placement, host, partial(decode, answer, speeds, known), at, acceptance)
    asked = Prompt(n_prompt=n_prompt, n_ubatch=max(1, min(placement.context.n_ubatch, n_prompt)), depth=depth)
    middle = at_depth(plain, model, placement, depth=depth + n_prompt // 2)
    prompt = prompt_terms(model, placement, params, middle, speeds, known, asked)
    on_cpu = plain.weights[buffers.CPU] > 0
    off_by = accuracies()[Devices.of_parts(on_gpus=plain.weights.total() > plain.weights[buffers.CPU], on_cpu=on_cpu)]
    token = _estimate(seconds, off_by[Phase.DECODE])
    speculation, assumptions = None, speeds.assumptions
    if isinstance(drafted, str):
        assumptions = (*assumptions, drafted)
    elif drafted:
        speculation, terms = drafted
        token = token.divided(speculation.gain)
    whole = _estimate(_exact(prompt), off_by[Phase.PROMPT])
    return Prediction(
        decode_tokens_per_second=token.inverse(),
        prompt_tokens_per_second=whole.inverse().scaled(n_prompt) if prompt else Estimate(low=0, value=0, high=0),
        request_seconds=_request(token, whole, n_gen),
        terms=terms,
        prompt_terms=prompt,
        n_prompt=n_prompt,
        n_gen=n_gen,
        depth=depth,
        assumptions=assumptions,
        speculation=speculation,
        cached_experts=expected(placement.expert_cache, hit_rate) if placement.expert_cache else None,
    )


def _answer(
    model: Model,
    placement: Placement,
    plain: Traffic,
    found: Mapping[int, Estimate],
    decode: Callable[[Traffic], Mapping[Cause, float]],
) -> tuple[Traffic, Estimate]:
    """What a token touches and how long it takes; ``found`` is how often a cache has the experts of its layers."""
    if not found:
        return plain, _exact(decode(plain))
    most, usual, least = (
        cached(plain, model, placement, {il: pick(each) for il, each in found.items()})
        for pick in (attrgetter("high"), attrgetter("value"), attrgetter("low"))
    )
    low, value, high = (sum(decode(each).values()) for each in (most, usual, least))
    return usual, Estimate(low=low, value=value, high=high)


def _exact(terms: Mapping[Cause, float]) -> Estimate:
    seconds = sum(terms.values())
    return Estimate(low=seconds, value=seconds, high=seconds)


def _estimate(seconds: Estimate, spread: Accuracy) -> Estimate:
    return Estimate(low=seconds.low * spread.fast, value=seconds.value, high=seconds.high * spread.slow)


def _request(token: Estimate, prompt: Estimate, n_gen: int) -> Estimate:
    answer = token.scaled(n_gen)
    return Estimate(low=prompt.low + answer.low, value=prompt.value + answer.value, high=prompt.high + answer.high)

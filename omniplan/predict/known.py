"""What measurements say of a prediction: speeds of the same settings here and elsewhere, and constants of a machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import log
from statistics import median
from typing import Final

from omniplan.domain.evidence import Basis
from omniplan.domain.machine import Machine
from omniplan.domain.measurement import MeasuredModel, MeasuredRate, Measurement, settings_of
from omniplan.domain.model import Model
from omniplan.domain.params import ServerParams
from omniplan.domain.prediction import Estimate, MeasuredSpeeds, Prediction
from omniplan.errors import InputError
from omniplan.llamacpp.flags.args import parse
from omniplan.predict.calibrate import MeasuredSpeed, calibrate
from omniplan.predict.learned import Learned, learned_of
from omniplan.predict.measured import hardware_of, model_of_header

# Drivers and firmware keep a little of a memory to themselves, each version another share of it.
_SAME_GPU: Final = 0.03
_SAME_RAM: Final = 0.1


def with_measured(
    prediction: Prediction,
    model: MeasuredModel,
    machine: Machine,
    params: ServerParams,
    *,
    here: Sequence[Measurement],
    elsewhere: Sequence[Measurement],
) -> Prediction:
    """The prediction with what runs of the same took: the ones on this host, and those that others gave away."""
    if prediction.depth:
        # All were made in an empty cache.
        return prediction
    others = [item for item in elsewhere if item not in here]
    found = tuple(
        _speeds(nearest, basis)
        for basis, known in ((Basis.MEASURED, here), (Basis.ELSEWHERE, others))
        if (nearest := _nearest(prediction, [item for item in known if _is_same(item, model, machine, params)]))
    )
    return replace(prediction, measured=found) if found else prediction


def learn_measured(
    model: Model, measurements: Sequence[Measurement], machine: Machine | None = None, *, source: str
) -> Learned:
    """Constants of the time model under which the ``measurements`` of ``model`` on such a machine come out as they did.

    Without ``machine`` it is that of the first. Raises InputError where there is none, or where they contradict each
    other.
    """
    own = model_of_header(model)
    of_model = [item for item in measurements if item.model.is_same(own)]
    host = machine or (of_model[0].machine if of_model else None)
    same = [item for item in of_model if host and is_same_hardware(item.machine, host)]
    if not same or host is None:
        where = f" on {machine.name}" if machine else ""
        raise InputError(
            f"{source}: none of {len(measurements)} measurements is of {own.title}{where}; "
            "measure it with omniplan tune"
        )
    steady = [item for item in same if not item.is_disturbed] or same
    runs = [run for item in steady for run in _runs(item)]
    constants = calibrate(model, replace(host, constants=(), learned=""), runs, source="measurements")
    return learned_of(constants)


def is_same_hardware(one: Machine, other: Machine) -> bool:
    """Whether both have the same GPUs in the same order, the same processor, and as much RAM."""
    a, b = hardware_of(one), hardware_of(other)
    return (
        len(a.gpus) == len(b.gpus)
        and all(
            x.description == y.description and _is_near(x.total, y.total, _SAME_GPU)
            for x, y in zip(a.gpus, b.gpus, strict=True)
        )
        and (a.cpu.model if a.cpu else "") == (b.cpu.model if b.cpu else "")
        and (a.cpu.n_sockets if a.cpu else 1) == (b.cpu.n_sockets if b.cpu else 1)
        and a.nps == b.nps
        and _is_near(a.memory.total if a.memory else 0, b.memory.total if b.memory else 0, _SAME_RAM)
    )


def _is_near(one: int, other: int, share: float) -> bool:
    return abs(one - other) <= share * max(one, other)


def _is_same(item: Measurement, model: MeasuredModel, machine: Machine, params: ServerParams) -> bool:
    return (
        item.model.is_same(model)
        and replace(settings_of(parse(item.args, env=item.environment)), build=params.build) == settings_of(params)
        and is_same_hardware(item.machine, machine)
    )


def _nearest(prediction: Prediction, found: Sequence[Measurement]) -> list[Measurement]:
    """Those of the request that is most like the predicted one, undisturbed where there are such."""
    if not found:
        return []

    def apart(item: Measurement) -> float:
        pairs = ((item.n_prompt, prediction.n_prompt), (item.n_gen, prediction.n_gen))
        return sum(abs(log((one + 1) / (other + 1))) for one, other in pairs)

    steady = [item for item in found if not item.is_disturbed] or list(found)
    best = min(steady, key=apart)
    return [item for item in steady if (item.n_prompt, item.n_gen) == (best.n_prompt, best.n_gen)]


def _speeds(found: Sequence[Measurement], basis: Basis) -> MeasuredSpeeds:
    last = max(found, key=lambda item: item.date)
    return MeasuredSpeeds(
        basis=basis,
        decode_tokens_per_second=_estimate(found, lambda item: item.decode, basis),
        prompt_tokens_per_second=_estimate(found, lambda item: item.prompt, basis),
        n_prompt=last.n_prompt,
        n_gen=last.n_gen,
        n_runs=sum(max(rate.n_runs for rate in (item.prompt, item.decode) if rate) for item in found),
        llama_cpp=last.llama_cpp,
        date=last.date,
    )


def _estimate(
    found: Sequence[Measurement], rate_of: Callable[[Measurement], MeasuredRate | None], basis: Basis
) -> Estimate | None:
    rates = [rate for item in found if (rate := rate_of(item))]
    if not rates:
        return None
    low = min(rate.value / (1 + rate.scatter) for rate in rates)
    high = max(rate.value * (1 + rate.scatter) for rate in rates)
    return Estimate(low=low, value=median(rate.value for rate in rates), high=high, basis=basis)


def _runs(item: Measurement) -> Iterator[MeasuredSpeed]:
    """Prompt and answer as ``calibrate`` takes them."""
    for label, rate, n_prompt, n_gen, depth in (
        ("prompt", item.prompt, item.n_prompt, 0, 0),
        ("decode", item.decode, 0, item.n_gen, item.n_prompt),
    ):
        if rate and n_prompt + n_gen:
            yield MeasuredSpeed(
                label=f"{label} of {item.date}",
                args=item.args,
                environment=item.environment,
                n_prompt=n_prompt,
                n_gen=n_gen,
                depth=depth,
                rate=rate.value,
                date=item.date,
            )

"""Constants for one machine from its own llama-bench runs: one factor per kind of run, refused where runs disagree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import median
from typing import Final

from omniplan.documents.frozen import FrozenMapping
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.params import ServerParams
from omniplan.domain.prediction import Cause, Prediction
from omniplan.errors import InputError
from omniplan.llamacpp.flags.args import parse
from omniplan.predict.constants import Constant, known_on
from omniplan.predict.request import predict

# What one run can tell: rates and shares that grow together, and times that shrink with them.
_RATES: Final[Mapping[str, tuple[str, ...]]] = {
    "gpu decode": ("gpu.weights_share", "gpu.kv_share", "gpu.attention_decode"),
    "cpu decode": ("cpu.weights_share", "cpu.core_", "cpu.kv_share"),
    "gpu prompt": (
        "gpu.mmq_share",
        "gpu.f16_share",
        "gpu.bf16_share",
        "gpu.attention_64_share",
        "gpu.attention_128_share",
        "gpu.attention_256_share",
        "gpu.attention_latent_share",
        "gpu.attention_no_fa_share",
    ),
    "link prompt": ("link.",),
    "cpu prompt": ("cpu.flops_per_core", "cpu.attention_flops", "cpu.batch_share"),
}
_TIMES: Final[Mapping[str, tuple[str, ...]]] = {
    "gpu decode": ("gpu.node", "gpu.layer", "gpu.latent_layer", "gpu.split"),
    "cpu decode": ("cpu.node", "cpu.split"),
    "gpu prompt": ("gpu.prompt_layer",),
    "link prompt": (),
    "cpu prompt": (),
}
# A factor beyond this is not a slower machine but another model, another placement or a busy box.
_FURTHEST: Final = 8.0
# Runs of one kind whose factors differ by more than this contradict each other.
_DISAGREEMENT: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredSpeed:
    """One measured speed in tokens per second: ``args`` as for llama-server, one of ``n_prompt`` and ``n_gen`` 0."""

    label: str
    args: tuple[str, ...]
    n_prompt: int
    n_gen: int
    depth: int
    rate: float
    date: str = ""
    environment: Mapping[str, str] = FrozenMapping()


def calibrate(
    model: Model, machine: Machine, runs: Sequence[MeasuredSpeed], *, source: str = "llama-bench"
) -> dict[str, Constant]:
    """Constants under which ``runs`` are predicted as measured; raises InputError where they contradict each other.

    Each run says by which factor all rates that bound it are off; runs of one kind are taken together by their median.
    Write ``omniplan.predict.learned.learned_of`` it and give the file to ``omniplan.predict``.
    """
    if not runs:
        raise InputError("no run has a prompt or generation speed; measure one with llama-bench")
    base = known_on(machine.constants)
    factors: dict[str, list[tuple[float, MeasuredSpeed]]] = defaultdict(list)
    for run in runs:
        kind, factor = _factor(model, machine, run, base)
        factors[kind].append((factor, run))
    found: dict[str, Constant] = {}
    for kind, known in factors.items():
        _check(kind, known)
        low, high = min(known)[0], max(factor for factor, _ in known)
        typical = median(factor for factor, _ in known)
        dates = max((run.date for _, run in known), default="")
        for name, value in base.items():
            if sign := _sign(kind, name):
                ends = sorted((value * low**sign, value * high**sign))
                text = f"{source}: {', '.join(run.label for _, run in known)}"
                found[name] = Constant(value=value * typical**sign, low=ends[0], high=ends[1], source=text, date=dates)
    return found


def _factor(model: Model, machine: Machine, run: MeasuredSpeed, base: Mapping[str, float]) -> tuple[str, float]:
    params = parse(list(run.args), env=run.environment)
    if params.moe_cache:
        raise InputError(f"{run.label}: how often its cache of experts was hit is not known; run without one")
    kind = _kind(_predicted(model, machine, params, run, base), run)

    def rate(factor: float) -> float:
        known = {name: value * factor ** _sign(kind, name) for name, value in base.items()}
        return _rate(_predicted(model, machine, params, run, known), run)

    return kind, _solve(rate, run)


def _predicted(
    model: Model, machine: Machine, params: ServerParams, run: MeasuredSpeed, constants: Mapping[str, float]
) -> Prediction:
    return predict(model, machine, params, n_prompt=run.n_prompt, n_gen=run.n_gen, depth=run.depth, constants=constants)


def _rate(prediction: Prediction, run: MeasuredSpeed) -> float:
    chosen = prediction.prompt_tokens_per_second if run.n_prompt else prediction.decode_tokens_per_second
    return chosen.value


def _kind(prediction: Prediction, run: MeasuredSpeed) -> str:
    """What bounds the run: the part of the machine that most of its predicted seconds are spent in."""
    terms = prediction.prompt_terms if run.n_prompt else prediction.terms
    host = sum(seconds for cause, seconds in terms.items() if cause.is_on_host)
    is_host = host > sum(terms.values()) / 2
    if not run.n_prompt:
        return "cpu decode" if is_host else "gpu decode"
    if not is_host:
        return "gpu prompt"
    return "link prompt" if Cause.STREAMING in terms else "cpu prompt"


def _sign(kind: str, name: str) -> int:
    """1 for a rate that ``kind`` scales, -1 for a time, 0 for a constant it says nothing about."""
    if name.startswith(_RATES[kind]):
        return 1
    return -1 if _TIMES[kind] and name.startswith(_TIMES[kind]) else 0


def _solve(rate: Callable[[float], float], run: MeasuredSpeed) -> float:
    """The factor at which ``rate`` is the measured one; ``rate`` grows with it."""
    low, high = 1 / _FURTHEST, _FURTHEST
    if not rate(low) <= run.rate <= rate(high):
        raise InputError(
            f"{run.label}: {run.rate:.4g} tokens per second is over {_FURTHEST:.0f} times off {rate(1.0):.4g}, what "
            "this machine should do; check that model, arguments and machine belong together and that the box was idle"
        )
    for _ in range(30):
        middle = exp((log(low) + log(high)) / 2)
        low, high = (middle, high) if rate(middle) < run.rate else (low, middle)
    return exp((log(low) + log(high)) / 2)


def _check(kind: str, known: Sequence[tuple[float, MeasuredSpeed]]) -> None:
    slowest, fastest = min(known, key=lambda item: item[0]), max(known, key=lambda item: item[0])
    if fastest[0] > _DISAGREEMENT * slowest[0]:
        raise InputError(
            f"{kind}: {slowest[1].label} says {slowest[0]:.2f} of the shipped constants, {fastest[1].label} "
            f"{fastest[0]:.2f}; leave out the run that was disturbed"
        )

"""How a report writes sizes, rates and times: as the command does, short enough to stand beside a bar."""

from __future__ import annotations

from typing import Final

from omniplan.domain.footprint import Footprint
from omniplan.domain.prediction import Estimate, Prediction
from omniplan.report.values import Figure, Standing
from omniplan.text.speed import digits
from omniplan.units import GIB, MIB

RATE: Final = "tokens/s"
STANDINGS: Final = {True: Standing.GOOD, False: Standing.BAD, None: Standing.UNKNOWN}

FITTING: Final = {
    Standing.GOOD: "It fits",
    Standing.BAD: "It does not fit",
    Standing.UNKNOWN: "Not known whether it fits",
}


def size(nbytes: float) -> str:
    """Bytes as text: GiB with one decimal, or MiB."""
    if abs(nbytes) >= GIB:
        return f"{nbytes / GIB:,.1f} GiB"
    return f"{nbytes / MIB:,.0f} MiB" if abs(nbytes) >= 10 * MIB else f"{nbytes / MIB:,.1f} MiB"


def context(n_ctx: int) -> str:
    """A context as people say it: 32K for 32,768."""
    return f"{n_ctx >> 10}K" if n_ctx % 1024 == 0 else f"{n_ctx:,}"


def duration(seconds: float) -> str:
    """Seconds as text, milliseconds below one second."""
    return f"{digits(seconds)} s" if seconds >= 1 else f"{digits(1e3 * seconds)} ms"


def estimated(name: str, label: str, unit: str, found: Estimate) -> Figure:
    """An estimate with its range."""
    return Figure(
        name=name,
        label=label,
        value=found.value,
        text=digits(found.value),
        unit=unit,
        low=found.low,
        high=found.high,
        span=f"{digits(found.low)} to {digits(found.high)}",
    )


def speeds(prediction: Prediction) -> tuple[Figure, Figure, Figure]:
    """What a placement is judged by: both rates, and the request."""
    workload = f"a request of {prediction.n_prompt:,} + {prediction.n_gen:,} tokens"
    return (
        estimated("decode", "writing", RATE, prediction.decode_tokens_per_second),
        estimated("prompt", "reading a prompt", RATE, prediction.prompt_tokens_per_second),
        estimated("request", workload, "s", prediction.request_seconds),
    )


def sentence(text: str) -> str:
    """Words that stand alone: a capital first, a full stop last."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def slots(priced: Footprint) -> str:
    """A context and its slots in words."""
    if priced.n_seq_max == 1:
        return f"{priced.n_ctx:,} tokens"
    return f"{priced.n_ctx:,} tokens, {priced.n_seq_max} slots of {priced.n_ctx_seq:,}"

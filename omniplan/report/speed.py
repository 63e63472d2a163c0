"""Where the time goes: a generated token and a prompt as bars of their causes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from omniplan.domain.prediction import Cause, Prediction
from omniplan.report.values import Bar, Segment
from omniplan.report.words import duration
from omniplan.text.palette import Hue

# What moves weights counts as moving them, wherever they lie.
_HUES: Final = {
    Cause.KV_READS: Hue.CACHE,
    Cause.DRAFTING: Hue.COMPUTE,
    Cause.STREAMING: Hue.LINK,
    Cause.EXPERT_UPLOADS: Hue.LINK,
}


def times(prediction: Prediction) -> tuple[Bar, ...]:
    """One bar a phase that is predicted, causes by size."""
    return tuple(_times(prediction))


def _times(prediction: Prediction) -> Iterator[Bar]:
    if prediction.terms:
        yield _bar("token", "one token written", prediction.terms)
    if prediction.prompt_terms:
        yield _bar("prompt", f"a prompt of {prediction.n_prompt:,} tokens read", prediction.prompt_terms)


def _bar(name: str, label: str, terms: Mapping[Cause, float]) -> Bar:
    ordered = sorted(terms.items(), key=lambda item: -item[1])
    total = sum(terms.values())
    segments = tuple(
        Segment(hue=hue_of(cause), label=cause.value, value=seconds, text=duration(seconds))
        for cause, seconds in ordered
        if seconds > 0
    )
    return Bar(name=name, label=label, text=duration(total), segments=segments, scale=total)


def hue_of(cause: Cause) -> Hue:
    """What works, or waits, while time is spent on ``cause``."""
    return _HUES.get(cause, Hue.GPU if cause.is_on_gpus else Hue.CPU if cause.is_on_host else Hue.LINK)

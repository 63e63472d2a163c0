"""How far predictions are off, by what a placement runs on and by phase: rows of ``data/accuracy.toml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final

from omniplan.documents.column import Count, Positive
from omniplan.documents.source import read_table
from omniplan.domain.prediction import Cause, Objective, Phase, Prediction

_FILE: Final = "accuracy.toml"


class Devices(StrEnum):
    """What the weights of a placement that a token reads lie on."""

    GPUS = "all on GPUs"
    MIXED = "GPU + CPU"
    CPU = "CPU only"

    @classmethod
    def of_parts(cls, *, on_gpus: bool, on_cpu: bool) -> Devices:
        """By where weights lie that a token reads."""
        if not on_cpu:
            return cls.GPUS
        return cls.MIXED if on_gpus else cls.CPU

    @classmethod
    def of(cls, prediction: Prediction) -> Devices:
        """The devices that ``prediction`` spends time on."""
        return cls.of_parts(on_gpus=Cause.GPU_WEIGHTS in prediction.terms, on_cpu=Cause.CPU_WEIGHTS in prediction.terms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """How far published measurements lie from predictions, as a share: the median, and what nine of ten stay below.

    ``median`` and ``p90`` are of single predictions. Those of pairs say how far the ratio of two predictions is from
    the measured one where both are of one model on one machine: what is wrong about both of them cancels.
    ``fast`` and ``slow`` are the measured over the predicted seconds that eight of ten rows lie between.
    """

    n_rows: Count
    median: Positive
    p90: Positive
    n_pairs: Count
    pair_median: Positive
    pair_p90: Positive
    fast: Positive
    slow: Positive
    source: str


@cache
def accuracies() -> Mapping[Devices, Mapping[Phase, Accuracy]]:
    """The rows; raises TableError."""
    return read_table(_FILE, dict[Devices, dict[Phase, Accuracy]])


def comparison_error(objective: Objective, *predictions: Prediction) -> float:
    """How far a comparison of ``predictions`` on one machine is typically off, as a share of what is to be short."""
    return max(_comparison_error(objective, prediction) for prediction in predictions)


def _comparison_error(objective: Objective, prediction: Prediction) -> float:
    of_phase = accuracies()[Devices.of(prediction)]
    prompt, decode = of_phase[Phase.PROMPT].pair_median, of_phase[Phase.DECODE].pair_median
    match objective:
        case Objective.PROMPT:
            return prompt
        case Objective.DECODE:
            return decode
        case Objective.REQUEST:
            share = sum(prediction.prompt_terms.values()) / prediction.request_seconds.value
            return share * prompt + (1 - share) * decode

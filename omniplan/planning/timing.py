"""What is to be fast, and where the figures come from."""

from __future__ import annotations

from typing import Final

from omniplan.domain.prediction import Objective, Prediction

MODEL: Final = "time model: data/calibration.toml and the bandwidths of the machine"

ERROR: Final = "data/accuracy.toml: pairs of published measurements, each of one model on one machine"


def seconds(prediction: Prediction, objective: Objective) -> float:
    """What is to be short: seconds of the whole request, of a token, or of the prompt."""
    match objective:
        case Objective.REQUEST:
            return prediction.request_seconds.value
        case Objective.DECODE:
            return sum(prediction.terms.values())
        case Objective.PROMPT:
            return sum(prediction.prompt_terms.values())

"""What is to be fast, and how far the figures can be trusted."""

from __future__ import annotations

from typing import Final

from omniplan.domain.prediction import Objective, Prediction

MODEL: Final = "time model: data/calibration.toml and the bandwidths of the machine"

# How far the time model is off for a machine it was calibrated on: 159 published rows, median 7.3 %. Two placements on
# one machine share what it gets wrong about the machine.
ERROR: Final = 0.073
ERROR_SOURCE: Final = "published throughput, one constant per machine: 159 rows, median error 7.3 %"


def seconds(prediction: Prediction, objective: Objective) -> float:
    """What is to be short: seconds of the whole request, of a token, or of the prompt."""
    match objective:
        case Objective.REQUEST:
            return prediction.request_seconds.value
        case Objective.DECODE:
            return sum(prediction.terms.values())
        case Objective.PROMPT:
            return sum(prediction.prompt_terms.values())

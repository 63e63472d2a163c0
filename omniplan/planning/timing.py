"""What is to be fast, and how far the figures can be trusted."""

from __future__ import annotations

from typing import Final

from omniplan.domain.plan import Request
from omniplan.domain.prediction import Prediction
from omniplan.errors import InputError

OBJECTIVES: Final = ("request", "decode", "prompt")
MODEL: Final = "time model: data/calibration.toml and the bandwidths of the machine"

# How far the time model is off for a machine it was calibrated on: 159 published rows, median 7.3 %. Two placements on
# one machine share what it gets wrong about the machine.
ERROR: Final = 0.073
ERROR_SOURCE: Final = "published throughput, one constant per machine: 159 rows, median error 7.3 %"


def check(request: Request) -> None:
    """Raise InputError for a workload nobody can run."""
    if request.objective not in OBJECTIVES:
        raise InputError(f"objective {request.objective}: expected one of {', '.join(OBJECTIVES)}")
    for option, count in (("--n-prompt", request.n_prompt), ("--n-gen", request.n_gen)):
        if count < 0:
            raise InputError(f"{option} {count}: expected 0 or more tokens")
    if request.n_prompt + request.n_gen < 1:
        raise InputError("--n-prompt 0 --n-gen 0: expected at least one token in all")


def seconds(prediction: Prediction, objective: str) -> float:
    """What is to be short: seconds of the whole request, of a token, or of the prompt."""
    if objective == "decode":
        return sum(prediction.terms.values())
    return prediction.request_seconds.value if objective == "request" else sum(prediction.prompt_terms.values())

"""Predicted seconds of candidates, and what the weights on the CPU cost of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from omniplan.domain.evidence import Reason
from omniplan.domain.footprint import Footprint
from omniplan.domain.plan import Request
from omniplan.domain.prediction import Prediction
from omniplan.errors import InputError
from omniplan.llamacpp.args import parse
from omniplan.predict.request import predict_priced
from omniplan.search.arguments import Candidate
from omniplan.units import gib

if TYPE_CHECKING:
    from omniplan.search.planner import Ladder

OBJECTIVES: Final = ("request", "decode", "prompt")
MODEL: Final = "time model: data/calibration.toml and the bandwidths of the machine"


def check(request: Request) -> None:
    """Raise InputError for a workload nobody can run."""
    if request.objective not in OBJECTIVES:
        raise InputError(f"objective {request.objective}: expected one of {', '.join(OBJECTIVES)}")
    if request.n_prompt < 0 or request.n_gen < 0 or request.n_prompt + request.n_gen < 1:
        raise InputError(f"workload: {request.n_prompt} + {request.n_gen} tokens: expected at least one in all")


def seconds(prediction: Prediction, objective: str) -> float:
    """What is to be short: seconds of the whole request, of a token, or of the prompt."""
    if objective == "decode":
        return sum(prediction.terms.values())
    return prediction.request_seconds.value if objective == "request" else sum(prediction.prompt_terms.values())


def speed(ladder: Ladder, args: tuple[str, ...], priced: Footprint) -> Prediction:
    """How fast priced arguments are at the request."""
    request = ladder.request
    return predict_priced(ladder.model, ladder.machine, parse(args), priced, request.n_prompt, request.n_gen, 0)


def cost_of_moving(
    ladder: Ladder, candidate: Candidate, args: tuple[str, ...], priced: Footprint, found: Prediction
) -> Reason:
    """What a token and the prompt would save if every moved weight were on its layer's GPU."""
    kept = speed(ladder, _without_override(args), replace(priced, graph_splits=None))
    token = 1e3 * max(0.0, sum(found.terms.values()) - sum(kept.terms.values()))
    prompt = max(0.0, sum(found.prompt_terms.values()) - sum(kept.prompt_terms.values()))
    layers = [il for il in candidate.moved if ladder.costs.movable[il]]
    size = sum(ladder.costs.movable[il] for il in layers) // max(1, len(layers))
    return Reason(
        verdict="note",
        subject=f"time of {len(layers)} layers on the CPU",
        statement=f"about {token:.1f} ms of every token and {prompt:.1f} s of the prompt; {gib(size)} more VRAM "
        f"for one more of them would save {token / max(1, len(layers)):.2f} ms per token",
        source=MODEL,
    )


def _without_override(args: tuple[str, ...]) -> tuple[str, ...]:
    if "-ot" not in args:
        return args
    at = args.index("-ot")
    return (*args[:at], *args[at + 2 :])

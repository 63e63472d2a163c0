"""From how many tokens on a GPU computes with weights in RAM: short prompts are faster where the weights are.

A device asks for such work from 32 tokens on, and copies every expert that they need to it, which takes seconds however
few they are. GGML_OP_OFFLOAD_MIN_BATCH says another number, between op offload and none: it takes no memory, and no
prompt of that many tokens is computed otherwise than before.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import Final

from omniplan.domain.evidence import Reason, ReasonVerdict
from omniplan.domain.params import OFFLOAD_MIN_BATCH
from omniplan.domain.prediction import Cause, Objective, Prediction
from omniplan.llamacpp.load.placement import Placement
from omniplan.planning.problem import Problem
from omniplan.planning.solution import Solution
from omniplan.planning.timing import MODEL, seconds
from omniplan.predict.accuracy import comparison_error
from omniplan.predict.request import placed, predict_placed

# Tokens between two numbers that are tried: finer than the time model knows.
_STEP: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossover:
    """A solution whose short prompts stay on the CPU, and why."""

    n_tokens: int
    solution: Solution
    reason: Reason


def crossover(problem: Problem, found: Solution) -> Crossover | None:
    """``found`` with short prompts on the CPU, where these are clearly faster there; None where that is no choice."""
    placement, _ = placed(problem.model, problem.machine, found.candidate.params)
    taker = placement.offloader
    if Cause.STREAMING not in found.prediction.prompt_terms or not taker or not taker.backend.reads_min_batch:
        return None
    sizes = range(_STEP, placement.context.n_ubatch + 1, _STEP)
    first = bisect_left(sizes, 1, key=lambda n_tokens: not _is_faster_on_cpu(problem, found, placement, n_tokens))
    if first == 0:
        return None
    n_tokens = sizes[min(first, len(sizes) - 1)]
    params = replace(found.params, env=((OFFLOAD_MIN_BATCH, str(n_tokens)),))
    request = problem.request
    prediction = _predicted(problem, replace(found, params=params), placement, request.n_prompt, request.n_gen)
    solution = replace(found, params=params, prediction=prediction, seconds=seconds(prediction, request.objective))
    return Crossover(n_tokens=n_tokens, solution=solution, reason=_reason(problem, found, placement, n_tokens))


def _is_faster_on_cpu(problem: Problem, found: Solution, placement: Placement, n_tokens: int) -> bool:
    """Whether a prompt of so many tokens is: by more than a comparison of prompts is off by."""
    copied, computed = _both(problem, found, placement, n_tokens)
    error = comparison_error(Objective.PROMPT, copied, computed)
    return seconds(computed, Objective.PROMPT) < (1 - error) * seconds(copied, Objective.PROMPT)


def _both(problem: Problem, found: Solution, placement: Placement, n_tokens: int) -> tuple[Prediction, Prediction]:
    """A prompt of so many tokens with weights copied to a GPU, and computed where they are."""
    on_cpu = replace(found, params=replace(found.params, op_offload=False))
    return _predicted(problem, found, placement, n_tokens, 0), _predicted(problem, on_cpu, placement, n_tokens, 0)


def _predicted(problem: Problem, found: Solution, placement: Placement, n_prompt: int, n_gen: int) -> Prediction:
    workload = (n_prompt, n_gen, 0)
    return predict_placed(problem.model, problem.machine, found.params, placement, found.footprint, workload, None)


def _reason(problem: Problem, found: Solution, placement: Placement, n_tokens: int) -> Reason:
    n_short = n_tokens // 2
    copied, computed = (seconds(each, Objective.PROMPT) for each in _both(problem, found, placement, n_short))
    return Reason(
        verdict=ReasonVerdict.CHOSEN,
        subject=f"{OFFLOAD_MIN_BATCH}={n_tokens}",
        statement=f"shorter prompts are computed on the CPU: {n_short} tokens take {computed:.2g} s there and "
        f"{copied:.2g} s on a GPU, to which weights are copied first",
        source=MODEL,
    )

"""Levers: what else to ask for where a plan would then be clearly faster. Each has been searched for.

What cannot gain as much as comparing two predictions is off by is not tried: a search of each is dear.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from omniplan.domain.lever import QUANT, Lever
from omniplan.domain.params import MTP, DraftParams, LoadMode
from omniplan.domain.plan import Settings
from omniplan.domain.prediction import Cause
from omniplan.domain.tensor_type import TYPE_BY_NAME
from omniplan.errors import ArgumentError
from omniplan.llamacpp.ggml.buffers import is_host
from omniplan.llamacpp.quant.requantise import requantise, smaller_quants
from omniplan.planning import timing
from omniplan.planning.ladder import Ladder
from omniplan.planning.microbatch import faster_size
from omniplan.planning.problem import Problem
from omniplan.planning.solution import Solution, is_clearly_faster, seconds_to_beat
from omniplan.predict.accuracy import comparison_error
from omniplan.predict.request import predict_priced

# Of a cache in q8_0, bytes over those in f16 (ggml: 34 bytes for 32 values).
_Q8_0: Final = 34 / 64
# A quant that is offered keeps at least half of the bytes: what is faster with fewer is another question.
_LEAST_QUANT: Final = 1 / 2
_MOST: Final = 3


def levers(problem: Problem, found: Solution) -> tuple[Lever, ...]:
    """The fastest first, each with everything else as asked."""
    tried = [*_micro_batch(problem, found), *_loading(problem, found), *_drafting(problem, found)]
    tried += [*_cache(problem, found), *_context(problem, found), *_quant(problem, found)]
    return tuple(sorted(tried, key=lambda lever: lever.request_seconds.value)[:_MOST])


def _micro_batch(problem: Problem, found: Solution) -> Iterator[Lever]:
    if problem.request.n_ubatch is not None and (other := faster_size(problem, found)):
        n_ubatch, solution = other
        yield _lever("n_ubatch", str(n_ubatch), solution)


def _loading(problem: Problem, found: Solution) -> Iterator[Lever]:
    """Memory that GPUs copy from fast, where the request maps the file."""
    if problem.request.load_mode is not LoadMode.AUTO and problem.streams(found.footprint):
        free = replace(problem.request, load_mode=LoadMode.AUTO)
        yield from _searched(
            "load_mode", LoadMode.AUTO, Problem(problem.model, problem.machine, free, problem.settings), found
        )


def _drafting(problem: Problem, found: Solution) -> Iterator[Lever]:
    """The heads that the model has for it."""
    request = problem.request
    n_max = DraftParams().n_max
    is_free = problem.model.hparams.n_layer_nextn and request.mtp == 0 and request.draft is None
    if is_free and _may_draft(problem, found, n_max):
        yield from _settled("mtp", str(n_max), problem, replace(problem.settings, mtp=n_max), found)


def _may_draft(problem: Problem, found: Solution, n_max: int) -> bool:
    """Whether drafts may be clearly faster: they are not where they would be no gain to heads that took no room."""
    params, request = found.params, problem.request
    drafting = replace(params, spec_types=(MTP,), draft=replace(params.draft, n_max=n_max))
    best = predict_priced(
        problem.model, problem.machine, drafting, found.footprint, request.n_prompt, request.n_gen, depth=0
    )
    error = comparison_error(request.objective, best, found.prediction)
    return timing.seconds(best, request.objective) < (1 - error) * found.seconds


def _cache(problem: Problem, found: Solution) -> Iterator[Lever]:
    settings, asked = problem.settings, problem.request
    types = (*asked.cache_types, settings.cache_type_k, settings.cache_type_v)
    if any(TYPE_BY_NAME[name].is_quantized for name in types) or not _may_gain(problem, found, 1 - _Q8_0):
        return
    other = replace(settings, cache_type_k="q8_0", cache_type_v="q8_0")
    yield from _settled("cache_types", "q8_0", problem, other, found)


def _context(problem: Problem, found: Solution) -> Iterator[Lever]:
    """Half of it, where the request still has room."""
    half = problem.settings.n_ctx // 2
    needed = (problem.request.n_prompt + problem.request.n_gen) * problem.request.n_parallel
    if half >= needed and problem.request.n_ctx_least is None and _may_gain(problem, found, 1 / 2):
        yield from _settled("n_ctx", str(half), problem, replace(problem.settings, n_ctx=half), found)


def _quant(problem: Problem, found: Solution) -> Iterator[Lever]:
    """The largest file that leaves nothing in RAM, where something is there."""
    if not problem.streams(found.footprint):
        return
    header = problem.model.header
    room = sum(margin.left + margin.used for margin in found.margins if margin.pool != "RAM")
    beside = sum(size.context + size.compute for name, size in found.footprint.buffers.items() if not is_host(name))
    least = header.tensor_bytes * _LEAST_QUANT
    fitting = [item for item in smaller_quants(problem.model) if least <= item[0] <= room - beside]
    if fitting:
        size, name = max(fitting)
        rival = Problem(requantise(problem.model, name), problem.machine, problem.request, problem.settings)
        yield from _searched(QUANT, name, rival, found, tensor_bytes=size)


def _may_gain(problem: Problem, found: Solution, share: float) -> bool:
    """Whether this share less of the cache may be clearly faster: in room for what is in RAM, or in reads."""
    terms, buffers = found.prediction.terms, found.footprint.buffers
    cached = sum(size.context for size in buffers.values())
    in_ram = sum(size.model for name, size in buffers.items() if is_host(name))
    on_host = sum(seconds for cause, seconds in terms.items() if cause.is_on_host)
    saved = share * terms.get(Cause.KV_READS, 0.0)
    if in_ram and problem.streams(found.footprint):
        saved += on_host * min(1.0, share * cached / in_ram)
    error = comparison_error(problem.request.objective, found.prediction)
    return saved > error * sum(terms.values())


def _settled(field: str, value: str, problem: Problem, settings: Settings, found: Solution) -> Iterator[Lever]:
    return _searched(field, value, problem.settled(settings), found)


def _searched(field: str, value: str, rival: Problem, found: Solution, *, tensor_bytes: int = 0) -> Iterator[Lever]:
    """What a search finds there, if it is clearly faster; nothing where llama-server takes no such arguments."""
    objective = rival.request.objective
    try:
        solution = Ladder(rival, found.footprint).climb(seconds_to_beat(found, objective))
    except ArgumentError:
        return
    if solution is not None and is_clearly_faster(solution, found, objective):
        yield _lever(field, value, solution, tensor_bytes=tensor_bytes)


def _lever(field: str, value: str, solution: Solution, *, tensor_bytes: int = 0) -> Lever:
    prediction = solution.prediction
    return Lever(
        field=field,
        value=value,
        decode_tokens_per_second=prediction.decode_tokens_per_second,
        prompt_tokens_per_second=prediction.prompt_tokens_per_second,
        request_seconds=prediction.request_seconds,
        tensor_bytes=tensor_bytes,
    )

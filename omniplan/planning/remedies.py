"""Why nothing fits, and the smallest changes with which it does; every one of them has been planned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from omniplan.domain.params import MAX_DEVICES
from omniplan.domain.request import Request, RequestChanges
from omniplan.domain.titles import title_of
from omniplan.errors import Infeasible
from omniplan.llamacpp.load.memory import caches
from omniplan.llamacpp.load.unpriced import unpriced_devices
from omniplan.llamacpp.quant.requantise import smaller_quants
from omniplan.planning import candidates, smaller
from omniplan.planning.ladder import Ladder
from omniplan.planning.one_memory import onto_gpus
from omniplan.planning.problem import Problem
from omniplan.text.verdict import left_out
from omniplan.units import MIB, gib, mib


def refusal(ladder: Ladder) -> Infeasible:
    """The error for a ladder nobody could climb."""
    problem, closest = ladder.problem, dict(missing(ladder))
    where = ", ".join(f"{mib(size)} on {name}" for name, size in closest.items())
    n_ctx = smaller.largest_context(problem, closest)
    summary = (
        f"{problem.model.header.paths[0]}: {_what(problem, is_cache=n_ctx > 0)} do not fit "
        f"on {title_of(problem.machine)}"
        f"{' within the bounds asked for' if _bounds(problem.request) else ''}: "
        f"{f'short by {where}' if where else 'no placement keeps that'}"
    )
    if unpriced := tuple(unpriced_devices(problem.machine.gpus)):
        summary += f" ({left_out(unpriced)})"
    remedies = (*_contexts(problem, n_ctx), *smaller.cache_types(problem), *_freer(problem))
    # Whoever asks for more than the model was trained for needs no smaller file.
    is_beyond_training = n_ctx == problem.model.hparams.n_ctx_train
    quants = () if n_ctx and is_beyond_training else smaller_quants(problem.model)
    size, quant = smaller.largest_quant(problem, quants, closest)
    advice: list[str] = []
    if not remedies and not quant and quants:
        advice.append(_hopeless(problem, quants[0]))
    elif ways := "; or ".join(onto_gpus(problem, quants)):
        advice.append(f"all on the GPU: {ways}")
    return Infeasible(summary, shortfall=closest, remedies=remedies, quant=quant, quant_bytes=size, advice=advice)


def _what(problem: Problem, *, is_cache: bool) -> str:
    """What does not fit: the cache, where less context would, else the weights."""
    weights = f"{gib(problem.model.header.tensor_bytes)} of weights"
    if not is_cache:
        return weights
    cache = sum(cache.nbytes for cache in caches(problem.model, problem.context))
    return f"{gib(cache)} of cache for {problem.settings.n_ctx:,} tokens beside {weights}"


def _hopeless(problem: Problem, least: tuple[int, str]) -> str:
    size, name = least
    return f"no quant of this model would with {problem.settings.n_ctx:,} tokens: even {name} takes {gib(size)}"


def missing(ladder: Ladder) -> Mapping[str, int]:
    """The missing bytes of the nearest miss by pool.

    Under bounds the search may have priced one GPU alone, so all of them are priced here, by what they hold.
    """
    problem, known = ladder.problem, ladder.reporter.closest
    budgets = [problem.headroom.budget_of(gpu) // MIB for gpu in problem.machine.gpus]
    if not _bounds(problem.request) or problem.is_beyond_all or not 1 < len(budgets) < MAX_DEVICES or not any(budgets):
        return known
    least = problem.price(
        candidates.by_size(problem.params, budgets, problem.model.hparams.n_layer_all, problem.pins)
    ).missing
    return min((found for found in (known, least) if found), key=lambda found: sum(found.values()), default=known)


def _bounds(request: Request) -> RequestChanges:
    """What the user has fixed beside the machine, each with the value that frees it."""
    free: RequestChanges = {}
    if request.pins:
        free["pins"] = ()
    if request.max_patterns is not None:
        free["max_patterns"] = None
    if not request.cpu_experts:
        free["cpu_experts"] = True
    if not request.cpu_weights:
        free["cpu_weights"] = True
    return free


def _freer(problem: Problem) -> Iterator[RequestChanges]:
    """The same without what the user has fixed."""
    bounds = _bounds(problem.request)
    if bounds and smaller.fits(problem, request=replace(problem.request, **bounds)):
        yield bounds


def _contexts(problem: Problem, n_ctx: int) -> Iterator[RequestChanges]:
    if n_ctx and problem.request.n_ctx_least:
        yield {"n_ctx": n_ctx, "n_ctx_least": None}
    elif n_ctx:
        yield {"n_ctx": n_ctx}

"""What one would do without a planner, on the same terms; no plan is predicted slower than one that fits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from omniplan.domain.evidence import Reason, ReasonVerdict
from omniplan.domain.params import MAX_DEVICES, ServerParams
from omniplan.domain.plan import Baseline
from omniplan.domain.prediction import Objective
from omniplan.errors import ArgumentError
from omniplan.llamacpp.fit.fit import fit
from omniplan.llamacpp.flags.overrides import cpu_moe, first_match
from omniplan.llamacpp.ggml import buffers
from omniplan.llamacpp.load import layers
from omniplan.llamacpp.load.place import place
from omniplan.planning import candidates
from omniplan.planning.candidates import Candidate
from omniplan.planning.problem import Problem
from omniplan.planning.reporter import Reporter
from omniplan.planning.solution import Solution, simplest
from omniplan.planning.timing import MODEL
from omniplan.units import GIB, MIB

FIT: Final = "fit"
FIT_SET: Final = "fit, plan's settings"
ALL: Final = "all layers"
BEST_NGL: Final = "best -ngl"
# Rounds in which -ngl is counted with the compute buffers of the last price.
_ROUNDS: Final = 3

# A name, whose baseline it is, and its parameters, ``fit`` set where --fit is to place it.
_Entry = tuple[str, Problem, ServerParams]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """A baseline and its price; ``asked`` are the parameters that leave it to --fit, None for the others."""

    baseline: Baseline
    solution: Solution
    asked: ServerParams | None = None


def rivals(problem: Problem, plain: Problem, ours: Solution | None, reporter: Reporter) -> dict[str, Rival]:
    """Every baseline that llama.cpp would accept, by name.

    ``plain`` is what the user asked for; ``problem`` has what the search settled besides, which only
    "fit, plan's settings" shares, as it shares what ``ours``, the search's own, takes of a GPU beside buffers.
    """
    found: dict[str, Rival] = {}
    for name, owner, params in _entries(problem, plain, ours, found):
        try:
            found[name] = _rival(owner, name, params, is_plain=owner is plain)
        except ArgumentError as error:
            reporter.note(_refused(name, error))
    if ALL in found and not found[ALL].baseline.fits and (best := _best_ngl(plain, found[ALL].solution)):
        found[BEST_NGL] = _rated(plain, best)
    return found


def _entries(problem: Problem, plain: Problem, ours: Solution | None, found: Mapping[str, Rival]) -> Iterator[_Entry]:
    """All but the best -ngl, none for more GPUs than llama.cpp can use; ``found`` are those so far."""
    machine, h = plain.machine, plain.model.hparams
    asked = _asked(plain)
    if len(machine.gpus) > MAX_DEVICES:
        return
    yield FIT, plain, asked
    if not machine.gpus:
        return
    kept = FIT in found and found[FIT].baseline.fits and problem.settings == plain.settings
    if kept and problem.hosted(asked, found[FIT].solution.footprint) != asked:
        yield FIT_SET, problem, asked
        # RAM that is pinned takes page tables of the GPU.
        kept = FIT_SET in found and found[FIT_SET].baseline.fits
    if not kept and len(machine.gpus) < MAX_DEVICES:
        yield FIT_SET, problem, replace(_asked(problem), fit_target=_margins(problem, ours))
    every = replace(asked, n_gpu_layers=candidates.all_layers(h.n_layer_all), fit=False)
    yield ALL, plain, every
    if h.n_expert:
        yield "cpu-moe", plain, replace(every, overrides=(*every.overrides, *cpu_moe()))
    if 1 < len(machine.gpus) < MAX_DEVICES:
        sizes = tuple(float(max(1, round(gpu.total / GIB))) for gpu in machine.gpus)
        yield "nominal split", plain, replace(every, tensor_split=sizes)


def _asked(problem: Problem) -> ServerParams:
    return replace(problem.params, overrides=problem.pins.overrides, moe_cache=0)


def _margins(problem: Problem, ours: Solution | None) -> tuple[int, ...]:
    """Bytes that --fit must leave on each GPU to keep the headroom of a process like ``ours``, in whole MiB."""
    headroom, priced = problem.headroom, ours and ours.footprint
    sizes = [
        headroom.kept_on(gpu) + (max(0, headroom.beyond(gpu, priced)) if priced and gpu.name in priced.buffers else 0)
        for gpu in problem.machine.gpus
    ]
    kept = tuple(-(-size // MIB) * MIB for size in sizes)
    return kept * MAX_DEVICES if len(kept) == 1 else (*kept, *problem.params.fit_target[len(kept) :])


def _fitted(problem: Problem, asked: ServerParams) -> ServerParams:
    """What --fit chooses, without the margins that it was asked to keep and its pattern for the output, if it has one.

    It counts the output as a layer behind the last, whose pattern matches no tensor.
    """
    chosen = fit(problem.model, problem.machine, asked).settled(asked)
    moved = first_match(chosen.overrides, problem.model.header.by_name).values()
    kept = tuple(item for item in chosen.overrides if item in asked.overrides or item in moved)
    return replace(chosen, n_ctx=asked.n_ctx, fit_target=problem.params.fit_target, overrides=kept)


def _best_ngl(problem: Problem, whole: Solution) -> Solution | None:
    """The most layers that whole layers alone put on the GPUs: no overrides, llama.cpp's own split."""
    solution, best, tried = whole, None, {0}
    for _ in range(_ROUNDS):
        n = _most_layers(problem, solution)
        if n in tried or n < max(tried) * (best is not None):
            break
        tried.add(n)
        solution = _price(problem, BEST_NGL, replace(_asked(problem), n_gpu_layers=n), is_plain=True)
        best = best if solution.missing else solution
    return best


def _most_layers(problem: Problem, like: Solution) -> int:
    """How many layers fit if compute buffers are as in ``like`` and what was missing there stays missing."""
    machine, costs = problem.machine, problem.costs
    names = [gpu.name for gpu in machine.gpus]
    room = {
        gpu.name: problem.headroom.budget_of(gpu) - costs.shared - costs.fixed.get(gpu.name, 0) for gpu in machine.gpus
    }
    n_all = len(costs.base)
    for n in range(n_all - 1, 0, -1):
        held: Counter[str] = Counter()
        for il, device in enumerate(layers.split(n_all - 1, n, names, [float(gpu.free) for gpu in machine.gpus])):
            held[device] += costs.base[il] + costs.movable[il]
        if all(
            not held[name] or held[name] + like.footprint.reserved(name) <= room[name]
            for name in names
            if name != buffers.CPU
        ):
            return n
    return 0


def _rival(problem: Problem, name: str, params: ServerParams, *, is_plain: bool) -> Rival:
    if not params.fit:
        return _rated(problem, _price(problem, name, params, is_plain=is_plain))
    solution = _price(problem, name, _fitted(problem, params), is_plain=is_plain)
    return _rated(problem, solution, asked=params if is_plain else problem.hosted(params, solution.footprint))


def _rated(problem: Problem, solution: Solution, *, asked: ServerParams | None = None) -> Rival:
    baseline = Baseline(
        args=solution.args,
        fits=not solution.missing,
        loads=not solution.footprint.shortfall,
        is_allowed=problem.keeps(solution),
        prediction=solution.prediction,
    )
    return Rival(baseline=baseline, solution=solution, asked=asked)


def _price(problem: Problem, name: str, params: ServerParams, *, is_plain: bool) -> Solution:
    pinned = _pinned(problem, params)
    candidate = Candidate(strategy=name, params=pinned, is_baseline=True)
    solution = problem.price(candidate, is_plain=is_plain)
    strategy = candidates.strategy(
        solution.n_gpus,
        moved=len(pinned.overrides) > len(problem.pins.overrides),
        tensors=problem.costs.tensors,
        partial=solution.n_gpus > 0 and buffers.CPU in solution.footprint.layers,
    )
    return replace(solution, candidate=replace(candidate, strategy=strategy))


def _pinned(problem: Problem, params: ServerParams) -> ServerParams:
    """The same placement said outright: layers, split, no fit."""
    machine = problem.machine
    if params.n_gpu_layers == ServerParams().n_gpu_layers:
        every = candidates.all_layers(problem.model.hparams.n_layer_all) if machine.gpus else 0
        params = replace(params, n_gpu_layers=every)
    if 1 < len(machine.gpus) < MAX_DEVICES and not params.tensor_split:
        held = Counter(place(problem.model, machine, params).layers)
        params = replace(params, tensor_split=tuple(float(held[gpu.name]) for gpu in machine.gpus))
    return replace(params, fit=False)


def best_of(
    found: Solution | None, known: Mapping[str, Rival], objective: Objective, reporter: Reporter
) -> Solution | None:
    """The search's own result, or an allowed baseline that fits where that is clearly faster or as fast and simpler.

    Within what a comparison on one machine is off by the simplest wins: fewest GPUs, then fewest patterns, then the
    fastest. Among equals it is the search's own.
    """
    rated = {"": found} if found else {}
    rated |= {
        name: rival.solution for name, rival in known.items() if rival.baseline.fits and rival.baseline.is_allowed
    }
    if not rated:
        return None
    fastest = min(rated.values(), key=lambda solution: solution.seconds)
    best = simplest(list(rated.values()), objective)
    name = next(name for name, solution in rated.items() if solution is best)
    if not name:
        if found is not fastest:
            reporter.note(_kept(rated[name], fastest))
        return found
    reporter.note(_taken(rated[name], name, found))
    return rated[name]


def _refused(name: str, error: ArgumentError) -> Reason:
    return Reason(verdict=ReasonVerdict.NOTE, subject=f"baseline {name}", statement=str(error), source="llama.cpp")


def _taken(solution: Solution, name: str, ours: Solution | None) -> Reason:
    rest = (
        "which the search found no placement for"
        if ours is None
        else f"against {ours.seconds:.3g} s of the search's own{_simpler(solution, ours)}"
    )
    return Reason(
        verdict=ReasonVerdict.CHOSEN,
        subject=solution.candidate.strategy,
        statement=f"the layout of the baseline {name}, said outright: predicted {solution.seconds:.3g} s, {rest}; "
        "headroom kept",
        source=MODEL,
    )


def _kept(ours: Solution, fastest: Solution) -> Reason:
    return Reason(
        verdict=ReasonVerdict.NOTE,
        subject=ours.candidate.strategy,
        statement=f"predicted {ours.seconds:.3g} s against {fastest.seconds:.3g} s of another layout with "
        f"{_counts(fastest)}: less than a comparison is off by, so the simpler one of {_counts(ours)} stays",
        source=MODEL,
    )


def _simpler(solution: Solution, ours: Solution) -> str:
    return f", and simpler: {_counts(solution)} instead of {_counts(ours)}" if ours.seconds < solution.seconds else ""


def _counts(solution: Solution) -> str:
    return f"{solution.n_gpus} GPU(s) and {solution.n_patterns} pattern(s)"

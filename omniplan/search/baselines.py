"""What one would do without a planner, on the same terms; no plan is predicted slower than one that fits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from omniplan.domain.evidence import Reason
from omniplan.domain.footprint import Footprint
from omniplan.domain.params import MAX_DEVICES
from omniplan.domain.plan import Baseline
from omniplan.domain.prediction import Prediction
from omniplan.errors import ArgumentError
from omniplan.llamacpp.args import parse
from omniplan.llamacpp.fit import fit
from omniplan.llamacpp.footprint import place
from omniplan.search import arguments, timing
from omniplan.search.advice import thread_args
from omniplan.search.arguments import Candidate
from omniplan.units import GIB, MIB

if TYPE_CHECKING:
    from omniplan.search.planner import Ladder

FIT: Final = "fit"
FIT_KEPT: Final = "fit, headroom kept"
# How far the time model is off for a machine it was calibrated on: 159 published rows, median 7.3 %. Two placements on
# one machine share what it gets wrong about the machine.
ERROR: Final = 0.073
ERROR_SOURCE: Final = "published throughput, one constant per machine: 159 rows, median error 7.3 %"

Found = tuple[Candidate, Footprint]


@dataclass(frozen=True, slots=True)
class Rival:
    """A baseline, and the candidate and price it would be taken with."""

    baseline: Baseline
    candidate: Candidate
    priced: Footprint


def rivals(ladder: Ladder) -> dict[str, Rival]:
    """Every baseline that llama.cpp would accept, by name; --fit takes a second on a large model."""
    found: dict[str, Rival] = {}
    for name, args in _arguments(ladder):
        if name == FIT_KEPT and found[FIT].baseline.fits:
            continue
        try:
            found[name] = _rival(ladder, name, args)
        except ArgumentError as error:
            ladder.reporter.note(_refused(name, error))
    return found


def _arguments(ladder: Ladder) -> Iterator[tuple[str, tuple[str, ...]]]:
    machine, h = ladder.machine, ladder.model.hparams
    asked = arguments.request_args(ladder.request)
    every = (*asked, "-ngl", arguments.all_layers(h.n_layer_all))
    yield FIT, _fitted(ladder, asked, {})
    if machine.gpus:
        kept = {gpu.name: _margin(ladder, gpu.name) for gpu in machine.gpus}
        yield FIT_KEPT, _fitted(ladder, asked, kept)
        yield "all layers", every
        if h.n_expert:
            yield "cpu-moe", (*every, "-cmoe")
    if 1 < len(machine.gpus) < MAX_DEVICES:
        yield "nominal split", (*every, "-ts", ",".join(f"{max(1, round(gpu.total / GIB))}" for gpu in machine.gpus))


def _margin(ladder: Ladder, name: str) -> int:
    gpu = ladder.machine.gpu(name)
    return ladder.headroom.context_of(gpu) + ladder.headroom.growth_of(gpu)


def _fitted(ladder: Ladder, asked: tuple[str, ...], margins: Mapping[str, int]) -> tuple[str, ...]:
    """What --fit chooses, keeping its own margins or ours."""
    params = parse(asked)
    if margins:
        params = replace(params, fit_target=tuple(margins.values()))
    chosen = fit(ladder.model, ladder.machine, params)
    # The context comes first in both.
    return (*asked, *chosen.args[2:])


def _rival(ladder: Ladder, name: str, args: tuple[str, ...]) -> Rival:
    candidate, priced, missing = ladder.price(Candidate(strategy=f"as {name}", args=_pinned(ladder, args)))
    full = (*candidate.args, *thread_args(ladder.machine, priced))
    prediction = predicted(ladder, candidate, priced)
    baseline = Baseline(args=full, fits=not missing, loads=priced.fits, prediction=prediction)
    return Rival(baseline, candidate, priced)


def _pinned(ladder: Ladder, args: tuple[str, ...]) -> tuple[str, ...]:
    """The same placement said outright: layers, split, no fit."""
    if "-ngl" not in args:
        args = (*args, "-ngl", arguments.all_layers(ladder.model.hparams.n_layer_all) if ladder.machine.gpus else "0")
    if 1 < len(ladder.machine.gpus) < MAX_DEVICES and "-ts" not in args:
        held = Counter(place(ladder.model, ladder.machine, parse(args)).layers)
        args = (*args, "-ts", ",".join(str(held[gpu.name]) for gpu in ladder.machine.gpus))
    return (*args, "--fit", "off")


def best_of(ladder: Ladder, found: Found | None, known: Mapping[str, Rival]) -> Found | None:
    """The search's own result, or the fastest baseline that fits where that is faster; a reason compares them."""
    objective = ladder.request.objective
    took = {
        name: timing.seconds(rival.baseline.prediction, objective)
        for name, rival in known.items()
        if rival.baseline.fits
    }
    if not took:
        return found
    name = min(took, key=took.__getitem__)
    ours = None if found is None else timing.seconds(predicted(ladder, *found), objective)
    if found is None or ours is None or took[name] < ours:
        rival = known[name]
        _, rejected = ladder.reporter.recall()
        ladder.reporter.restore(((_taken(rival.candidate, name, took[name], ours),), rejected))
        return rival.candidate, rival.priced
    fitted = took.get(FIT, took.get(FIT_KEPT))
    if fitted is not None:
        ladder.reporter.note(_against_fit(ladder, ours, fitted))
    return found


def _refused(name: str, error: ArgumentError) -> Reason:
    return Reason(verdict="note", subject=f"baseline {name}", statement=str(error), source="llama.cpp b11434")


def predicted(ladder: Ladder, candidate: Candidate, priced: Footprint) -> Prediction:
    """Speed with the threads the plan will ask for."""
    return timing.speed(ladder, (*candidate.args, *thread_args(ladder.machine, priced)), priced)


def _taken(candidate: Candidate, name: str, theirs: float, ours: float | None) -> Reason:
    rest = "which the search found no placement for" if ours is None else f"against {ours:.3g} s of the search's own"
    return Reason(
        verdict="chosen",
        subject=candidate.strategy,
        statement=f"the layout of the baseline {name}, said outright: predicted {theirs:.3g} s, {rest}; headroom kept",
        source=timing.MODEL,
    )


def _against_fit(ladder: Ladder, ours: float, theirs: float) -> Reason:
    """How much faster than --fit, and whether that is more than the model is off."""
    gain = 1 - ours / theirs if theirs else 0.0
    statement = f"predicted {ours:.3g} s against {theirs:.3g} s of --fit's own layout, {gain:.0%} less"
    if gain <= ERROR:
        target = ",".join(str(-(-_margin(ladder, gpu.name) // MIB)) for gpu in ladder.machine.gpus)
        instead = f"--fit on -fitt {target}" if target else "--fit on"
        statement += f"; the time model is off by more ({ERROR:.0%}), so {instead} would do as well"
    return Reason(verdict="note", subject="--fit", statement=statement, source=ERROR_SOURCE)

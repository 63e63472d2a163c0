"""Plans: one, or a grid of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from omniplan.api.evidence import with_measured
from omniplan.api.source import calibrated, machine_of, model_of, requested, with_projector
from omniplan.domain.progress import unwatched

if TYPE_CHECKING:
    from omniplan.api.source import MachineSource, ModelSource
    from omniplan.domain.plan import Plan
    from omniplan.domain.progress import Progress
    from omniplan.domain.request import PlacementChanges, Request, RequestChanges
    from omniplan.planning.frontier_values import Frontier


def plan(
    model: ModelSource,
    machine: MachineSource,
    request: Request | None = None,
    *,
    calibration: str | Path | None = None,
    build: int | str | None = None,
    **changes: Unpack[RequestChanges],
) -> Plan:
    """Choose a placement that keeps the headroom on every pool of ``machine``, with its price and its reasons.

    ``machine`` is one, the name of a shipped one, or a machine file; ``calibration`` what its own runs taught, a file
    of ``omniplan calibrate`` or measurements, a file or a folder. ``changes`` are fields that differ from
    ``request``, or from the default ``Request``, and ``build`` is the llama.cpp that is meant, as for ``footprint``.

    The plan's ``prediction`` is for the request's prompt and answer. It carries ``baselines``, what one would do
    without it, and is never predicted slower than one that fits on as few GPUs, nor by over 10 % than one on more.
    ``plan.fit_instead`` is --fit's own command where the plan gains less over it than the time model is off by. Raises
    InputError for what cannot be asked, Infeasible when
    nothing fits, with the shortfall and what would make it fit.
    """
    from omniplan.planning.planner import advised_plan

    source = model_of(model)
    known = calibrated(machine_of(machine), calibration, source)
    found = advised_plan(source, known, with_projector(source, requested(request, build, changes)))
    return _of_files(found, machine, calibration)


def plans(
    model: ModelSource,
    machine: MachineSource,
    request: Request | None = None,
    *,
    calibration: str | Path | None = None,
    build: int | str | None = None,
    **changes: Unpack[RequestChanges],
) -> Iterator[Plan]:
    """The same for whoever plays with a request: a quick plan at once, then the one that ``plan`` gives, the last.

    The quick one is of one search, without baselines: what is left free has its usual value, the context is the least
    that will do, and ``request`` in it says so. It keeps every limit, in the same bytes, and is left out where one
    search finds nothing. Who does not want the second stops iterating.
    """
    from omniplan.planning.planner import advised_plan, quick_plan

    source = model_of(model)
    asked = with_projector(source, requested(request, build, changes))
    known = calibrated(machine_of(machine), calibration, source)
    quick = quick_plan(source, known, asked)
    if quick is not None:
        yield _of_files(quick, machine, calibration)
    yield _of_files(advised_plan(source, known, asked), machine, calibration)


def _of_files(found: Plan, machine: MachineSource, calibration: str | Path | None) -> Plan:
    """The plan with the files that machine and calibration were read from, and what such runs took."""
    from omniplan.predict.measured import model_of_plan, params_of

    return replace(
        found,
        prediction=with_measured(found.prediction, model_of_plan(found), found.machine, params_of(found), calibration),
        machine_file=str(machine) if isinstance(machine, str | Path) else None,
        calibration=None if calibration is None else str(calibration),
    )


def frontier(
    model: ModelSource,
    machine: MachineSource,
    request: Request | None = None,
    *,
    contexts: Sequence[int] | None = None,
    cache_types: Sequence[str] = ("f16", "q8_0"),
    ubatches: Sequence[int] = (512, 2048),
    parallels: Sequence[int] = (1,),
    build: int | str | None = None,
    progress: Progress = unwatched,
    **changes: Unpack[PlacementChanges],
) -> Frontier:
    """What context, cache type, micro-batch and slots trade against speed and bytes: a plan for every combination.

    ``contexts`` are totals in tokens over the slots (None: powers of two from 4,096 and the training context, at most
    eight); a type is that of K and V. Combinations that do not fit say why instead of raising. The default grid is at
    most 32 plans, each about half a second, of which ``progress`` is told. Everything else is as in ``request``,
    ``build`` and ``changes``, as for ``plan``.
    """
    from omniplan.planning.frontier import make_frontier

    source = model_of(model)
    return make_frontier(
        source,
        machine_of(machine),
        with_projector(source, requested(request, build, changes)),
        contexts=contexts,
        cache_types=cache_types,
        ubatches=ubatches,
        parallels=parallels,
        progress=progress,
    )

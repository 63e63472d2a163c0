"""Tuning on the machine itself: the few plans that could win are run, and what they teach is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Unpack

from omniplan.api.measure import silent
from omniplan.api.source import calibrated, machine_of, model_of, requested
from omniplan.domain.progress import unwatched
from omniplan.errors import InputError

if TYPE_CHECKING:
    from omniplan.api.source import MachineSource, ModelSource
    from omniplan.domain.model import Model
    from omniplan.domain.progress import Progress
    from omniplan.domain.request import Request, RequestChanges
    from omniplan.tune.session import Runner, Tuned


# Seconds that a server may take to load: 400 GB from a slow disk.
_LOADING: Final = 1800.0


def tune(
    model: ModelSource,
    machine: MachineSource,
    request: Request | None = None,
    *,
    journal: str | Path,
    budget: float = 1800.0,
    server: str = "llama-server",
    bench: str = "",
    gguf: str = "",
    runner: Runner | None = None,
    calibration: str | Path | None = None,
    build: int | str | None = None,
    say: Callable[[str], None] | None = None,
    progress: Progress | None = None,
    **changes: Unpack[RequestChanges],
) -> Tuned:
    """Run the plans of ``model`` on this machine that could still win, learn from each, and say which did.

    Every plan keeps the headroom that ``plan`` keeps; at most a dozen run, within ``budget`` seconds. ``server`` is the
    command to start in place of llama-server, ``bench`` a llama-bench that measures in its place whatever it has words
    for, ``gguf`` the model's file where ``model`` is a header alone; ``runner`` measures a plan otherwise. Runs are
    kept in ``journal``: the same call goes on where an earlier one ended. ``request``, ``calibration``, ``build`` and
    ``changes`` are those of ``plan``; the micro-batch is chosen unless ``n_ubatch`` is given. ``say`` is told what each
    run is for, ``progress`` what it is doing. Raises InputError where a GPU is in use by another process, Infeasible
    where no plan fits.
    """
    from omniplan.bench.protocol import ServerStart
    from omniplan.bench.quiet import occupied, unrest
    from omniplan.tune.programs import measurable, runner_of
    from omniplan.tune.rivals import rivals
    from omniplan.tune.session import tune as tuned

    asked = requested(request, build, {"n_ubatch": None, **changes} if request is None else changes)
    read = model_of(model)
    plans = rivals(read, calibrated(machine_of(machine), calibration, read), asked)
    tell = say or silent
    if runner is None:
        if held := [*occupied()]:
            raise InputError(f"{'; '.join(held)}; stop that first")
        for line in unrest():
            tell(f"note: {line}")
        plans = measurable(plans, server, bench, tell)
    start = ServerStart(plan=plans[0], server=server, gguf=gguf, wait=_LOADING)
    found = tuned(
        plans,
        runner or runner_of(start, bench, progress or unwatched),
        Path(journal),
        budget=budget,
        say=tell,
    )
    return _taught(found, read) if found.best else found


def _taught(tuned: Tuned, model: Model) -> Tuned:
    """The same with what its runs are as a calibration; without one where they contradict each other."""
    from omniplan.predict.calibrate import calibrate
    from omniplan.predict.learned import learned_of
    from omniplan.tune.session import speeds

    machine = replace(tuned.first.machine, constants=(), learned="")
    try:
        constants = calibrate(model, machine, speeds(tuned), source="omniplan tune")
    except InputError as error:
        return replace(tuned, untaught=str(error))
    return replace(tuned, learned=learned_of(constants))

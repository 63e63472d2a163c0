"""Results as something to look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from omniplan.api.source import machine_of, model_of
from omniplan.domain.progress import Progress, unwatched
from omniplan.errors import InputError

if TYPE_CHECKING:
    from omniplan.api.source import MachineSource, ModelSource
    from omniplan.domain.plan import Plan
    from omniplan.planning.comparison import Comparison
    from omniplan.planning.frontier_values import Frontier
    from omniplan.report.values import Report
    from omniplan.stack.values import Stack
    from omniplan.verify.values import Verification


def report(
    found: Plan | Stack | Comparison | Frontier | Verification,
    *,
    model: ModelSource | None = None,
    machine: MachineSource | None = None,
    progress: Progress = unwatched,
) -> Report:
    """What there is to see of ``found``, every number with its text; ``omniplan schema report`` describes it.

    ``model`` is the one that a plan or a frontier was made for (None: a plan's is read again from the path in it),
    ``machine`` the one that command lines were compared for (None: it is looked up by its name). ``progress`` is
    told how far the points around a plan are. Raises InputError or HeaderError.
    """
    from omniplan.domain.plan import Plan
    from omniplan.planning.comparison import Comparison
    from omniplan.planning.frontier_values import Frontier
    from omniplan.report import build
    from omniplan.stack.values import Stack

    if isinstance(found, Plan):
        return build.plan_report(found, model_of(found.model.path if model is None else model), progress)
    if isinstance(found, Stack):
        paths = {member.name: member.plan.model.path for member in found.members}
        models = {path: model_of(path) for path in paths.values()}
        return build.stack_report(found, {name: models[path] for name, path in paths.items()})
    if isinstance(found, Comparison):
        return build.comparison_report(found, machine_of(found.machine if machine is None else machine))
    if isinstance(found, Frontier):
        if model is None:
            raise InputError("a frontier does not say where its model lies; name it", field="model")
        return build.frontier_report(found, model_of(model))
    return build.verification_report(found)


def write_report(found: Report, path: str | Path) -> None:
    """``found`` as one HTML file that needs nothing else. Raises InputError, OutputError where it cannot be written."""
    from omniplan.report.page import write_report as write

    write(found, path)

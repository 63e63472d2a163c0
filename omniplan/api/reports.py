"""Results as something to look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from omniplan.api.source import model_of

if TYPE_CHECKING:
    from omniplan.api.source import ModelSource
    from omniplan.domain.plan import Plan
    from omniplan.report.values import Report


def report(found: Plan, *, model: ModelSource | None = None) -> Report:
    """What there is to see of ``found``, every number with its text; ``omniplan schema report`` describes it.

    ``model`` is the one it was made for (None: it is read again from the path in it). Raises InputError or HeaderError.
    """
    from omniplan.report.build import plan_report

    return plan_report(found, model_of(found.model.path if model is None else model))


def write_report(found: Report, path: str | Path) -> None:
    """``found`` as one HTML file that needs nothing else. Raises InputError, OutputError where it cannot be written."""
    from omniplan.report.page import write_report as write

    write(found, path)

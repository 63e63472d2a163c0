"""Reports of everything that has one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from omniplan.domain.build import DEFAULT_NAME
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.plan import Plan
from omniplan.domain.progress import Progress, unwatched
from omniplan.planning.comparison import Comparison
from omniplan.planning.frontier import default_contexts, make_frontier
from omniplan.planning.frontier_values import Frontier
from omniplan.report.comparison import comparison_sheets
from omniplan.report.frontier import frontier_sheet
from omniplan.report.plan import plan_sheet
from omniplan.report.stack import stack_sheets
from omniplan.report.tradeoffs import Grid, setting_of, tradeoffs
from omniplan.report.values import Report, Sheet
from omniplan.report.verification import verification_sheet
from omniplan.stack.values import Stack
from omniplan.verify.values import Verification
from omniplan.version import __version__

# What is tried beside what a plan has: as `omniplan frontier` does.
_CACHE_TYPES = ("f16", "q8_0")
_UBATCHES = (512, 2048)


def plan_report(plan: Plan, model: Model, progress: Progress = unwatched) -> Report:
    """A plan, and the grid around it: about a quarter of a second for each of some 28 points, which is told."""
    grid = Grid(frontier=_around(plan, model, progress), model_path=plan.model.path, llama_cpp=plan.llama_cpp)
    return report_of(plan_sheet(plan, model, tradeoffs(grid, setting_of(plan))))


def report_of(sheet: Sheet) -> Report:
    """The report of a plan that has this sheet, with or without a grid around it."""
    return _report("plan", [sheet])


def stack_report(found: Stack, models: Mapping[str, Model]) -> Report:
    """A stack and its members' plans; ``models`` are theirs, by the members' names."""
    return _report("stack", stack_sheets(found, models))


def comparison_report(found: Comparison, machine: Machine) -> Report:
    """Command lines side by side on ``machine``."""
    return _report("compare", comparison_sheets(found, machine))


def frontier_report(found: Frontier, model: Model) -> Report:
    """A grid of plans for ``model``."""
    builds = [point.outcome.build.asked for point in found.points if point.outcome is not None]
    grid = Grid(frontier=found, model_path=model.header.paths[0], llama_cpp=builds[0] if builds else DEFAULT_NAME)
    return _report("frontier", [frontier_sheet(grid)])


def verification_report(found: Verification) -> Report:
    """A run against its prediction."""
    return _report("verify", [verification_sheet(found)])


def _report(verb: str, sheets: Iterable[Sheet]) -> Report:
    known = tuple(sheets)
    return Report(verb=verb, title=known[0].title, version=__version__, sheets=known)


def _around(plan: Plan, model: Model, progress: Progress) -> Frontier:
    """Contexts from the least to the model's own, with the plan's; each point is one search, without baselines."""
    settings = plan.settings
    return make_frontier(
        model,
        plan.machine,
        replace(plan.request, baselines=False),
        contexts=(*default_contexts(model.hparams.n_ctx_train), settings.n_ctx),
        cache_types=tuple(dict.fromkeys((settings.cache_type_k, *_CACHE_TYPES))),
        ubatches=tuple(dict.fromkeys((settings.n_ubatch, *_UBATCHES))),
        parallels=(plan.request.n_parallel,),
        progress=progress,
    )

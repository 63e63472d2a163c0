"""Reports of everything that has one."""

from __future__ import annotations

from dataclasses import replace

from omniplan.domain.model import Model
from omniplan.domain.plan import Plan
from omniplan.planning.frontier import default_contexts, make_frontier
from omniplan.planning.frontier_values import Frontier
from omniplan.report.plan import plan_sheet
from omniplan.report.tradeoffs import Grid, setting_of, tradeoffs, with_plan
from omniplan.report.values import Report
from omniplan.version import __version__

# What is tried beside what a plan has: as `omniplan frontier` does.
_CACHE_TYPES = ("f16", "q8_0")
_UBATCHES = (512, 2048)


def plan_report(plan: Plan, model: Model) -> Report:
    """A plan, and the grid around it: about a quarter of a second for each of some 28 points."""
    frontier = with_plan(_around(plan, model), plan)
    grid = Grid(frontier=frontier, model_path=plan.model.path, llama_cpp=plan.llama_cpp)
    sheet = plan_sheet(plan, model, tradeoffs(grid, setting_of(plan)))
    return Report(verb="plan", title=sheet.title, version=__version__, sheets=(sheet,))


def _around(plan: Plan, model: Model) -> Frontier:
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
    )

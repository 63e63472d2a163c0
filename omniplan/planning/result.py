"""A finished search as a plan: facts of the model, price, predicted speed, reasons and assumptions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from omniplan.domain.evidence import Assumption, Reason
from omniplan.domain.footprint import RAM
from omniplan.domain.model import Model
from omniplan.domain.plan import ModelFacts, Plan
from omniplan.planning.advice import environment_of, host_reasons, learned_reasons
from omniplan.planning.baselines import Rival
from omniplan.planning.decline import fit_instead
from omniplan.planning.explain import fact_reasons, headroom_reasons, layout_reasons
from omniplan.planning.moving import cost_of_moving
from omniplan.planning.problem import Problem
from omniplan.planning.reporter import Reporter
from omniplan.planning.solution import Solution
from omniplan.predict.rates import gpu_bandwidth
from omniplan.version import __version__


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """A search that found something: the problem as it was settled, what was told, the winner and the baselines."""

    problem: Problem
    reporter: Reporter
    solution: Solution
    rivals: Mapping[str, Rival]


def plan_of(solved: Solved) -> Plan:
    """The plan a search ends with: its price, its predicted speed, its reasons."""
    problem, solution = solved.problem, solved.solution
    return Plan(
        version=__version__,
        llama_cpp=solution.footprint.llama_cpp,
        model=_facts(problem.model),
        machine=problem.machine,
        request=problem.request,
        settings=problem.settings,
        strategy=solution.candidate.strategy,
        server_args=solution.args,
        environment={**environment_of(problem.machine), **dict(solution.params.env)},
        footprint=solution.footprint,
        prediction=solution.prediction,
        margins=solution.margins,
        reasons=(
            *search_reasons(solved),
            *headroom_reasons(solution.margins),
            *learned_reasons(problem.machine, solution.footprint),
            *host_reasons(problem.machine, solution.footprint),
        ),
        assumptions=(*solution.footprint.assumptions, *_assumptions(problem)),
        baselines={name: rival.baseline for name, rival in solved.rivals.items()},
        fit_instead=fit_instead(solution, solved.rivals, problem.request.objective)[0],
    )


def search_reasons(solved: Solved) -> Iterator[Reason]:
    """Why the placement is what it is, whatever stays free of the machine."""
    problem, told, solution = solved.problem, solved.reporter, solved.solution
    _, compared = fit_instead(solution, solved.rivals, problem.request.objective)
    yield from layout_reasons(problem, solution)
    yield from told.notes
    yield from cost_of_moving(problem, solution)
    yield from (compared,) if compared else ()
    yield from told.rejections
    yield from fact_reasons(problem, solution)


def _facts(model: Model) -> ModelFacts:
    h, header = model.hparams, model.header
    return ModelFacts(
        path=header.paths[0],
        name=str(header.metadata.get("general.name", "")),
        architecture=model.arch,
        n_layer=h.n_layer,
        n_layer_nextn=h.n_layer_nextn,
        n_expert=h.n_expert,
        n_expert_used=max(h.n_expert_used),
        n_ctx_train=h.n_ctx_train,
        tensor_bytes=header.tensor_bytes,
        header_only=header.header_only,
    )


def _assumptions(problem: Problem) -> Iterator[Assumption]:
    if problem.request.n_ctx is None and problem.request.n_ctx_least is None:
        yield Assumption(
            subject="context",
            statement=f"{problem.settings.n_ctx:,} tokens in total, since none was asked for",
            source="omniplan default: the training context, at most 32,768",
        )
    for gpu in problem.machine.gpus:
        if gpu_bandwidth(gpu) is None and len(problem.machine.gpus) > 1:
            yield Assumption(
                subject=gpu.name,
                statement="memory bandwidth unknown: counted as equal to other unknown GPUs when layers are divided",
                source="machine description",
            )
    if problem.machine.ram is None:
        yield Assumption(
            subject=RAM,
            statement="RAM unknown: what goes to the CPU was not checked against it",
            source="machine description",
        )
